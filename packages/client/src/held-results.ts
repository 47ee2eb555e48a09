import {
  type Artifact,
  type ArtifactStore,
  type AttemptEnd,
  type Clock,
  LIMITS,
  type Logger,
  ManyhandsError,
  type Network,
  type TaskOutputs,
  toManyhandsError,
  type WireInput,
} from '@manyhands/core'
import PQueue from 'p-queue'
import { HeldManifests } from './held-manifests.ts'
import { heldOutputs } from './held-outputs.ts'
import type { HostDirectory } from './host-directory.ts'
import { HostPatience } from './host-patience.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { HeldAt, ResultRow } from './journal/result-rows.ts'
import type { KeptEnds } from './kept-ends.ts'
import { missingPart, SharedParts } from './shared-parts.ts'
import type { TakenBytes, TakenInput } from './taken-input.ts'
import { inputsOwner, type LiveAttempt, type Task } from './task.ts'
import { storedOutputs } from './task-outputs.ts'

/** Results that stay at one host at once: what a host keeps of one client has an end. */
const HELD_PER_HOST = LIMITS.attemptsPerClient / 4
/** Results that come here at once. */
const BRINGS = 8

export interface HeldResultsOptions {
  network: Network
  store: ArtifactStore
  directory: HostDirectory
  journal: ClientJournal
  clock: Clock
  logger: Logger
  closing: AbortSignal
  kept: KeptEnds
  /** A job that is not over. */
  runOf(job: string): JobRun | undefined
}

interface Held {
  job: string
  key: string
  host: string
}

/**
 * Results that other tasks take stay at the hosts that made them, and go from there to the hosts that need
 * them. They come here when somebody wants to read them, when their host is leaving or when another one
 * cannot reach it; and when they are lost with their host, they are made again.
 */
export class HeldResults {
  readonly #options: HeldResultsOptions
  /** By attempt: a host that repeats its end must not be told that it may forget it. */
  readonly #held = new Map<string, Held>()
  readonly #byHost = new Map<string, Map<string, Held>>()
  readonly #manifests: HeldManifests
  readonly #parts: SharedParts
  readonly #queue = new PQueue({ concurrency: BRINGS })
  readonly #bringing = new Map<string, Promise<void>>()

  constructor(options: HeldResultsOptions) {
    this.#options = options
    const { network, directory } = options
    this.#manifests = new HeldManifests(options)
    this.#parts = new SharedParts({ network, directory, manifests: this.#manifests })
    for (const { job, key, held } of options.journal.results.held()) {
      this.#keep(held.attempt, { job, key, host: held.host })
    }
  }

  /** Whether the result of an attempt stays where it is. */
  keeps(job: JobRun, task: Task, attempt: LiveAttempt, end: AttemptEnd): boolean {
    if (end.outputs === undefined || job.document.fetchOutputs) return false
    if (!this.#options.journal.needs.isTaken(job.id, task.key)) return false
    const { offer } = this.#options.directory.record(attempt.host) ?? {}
    if (offer === undefined || offer.draining) return false
    return (this.#byHost.get(attempt.host)?.size ?? 0) < HELD_PER_HOST
  }

  /** What a result consists of that stays at its host. @throws as ArtifactStore.inspect */
  async look(job: JobRun, task: Task, held: HeldAt, root: string): Promise<TaskOutputs> {
    const artifact = await this.#manifests.inspect(root, held.host)
    const most = job.document.base.resources.diskBytes
    // Its size is what the manifest says: a host's own word decides nothing.
    if (artifact.size !== held.bytes || artifact.size > most) {
      throw new ManyhandsError(
        'PROTOCOL',
        `host ${held.host} says ${held.bytes} bytes of outputs that have ${artifact.size}, of ${most} at most`,
      )
    }
    return this.#outputs(job.id, task.key, artifact)
  }

  /** It is accepted. */
  note(job: JobRun, task: Task, { attempt, host }: HeldAt): void {
    this.#keep(attempt, { job: job.id, key: task.key, host })
  }

  /** Outputs of a result that another client has accepted are at a host: they come here. */
  async foundAt(job: JobRun, row: ResultRow, at: Omit<HeldAt, 'bytes'>): Promise<void> {
    const { store, journal, logger } = this.#options
    const { key, outputs: root } = row
    if (row.held !== undefined || root === undefined || store.has(root)) return
    if (JSON.parse(row.document).receipt?.attempt !== at.attempt) return
    const { size } = await this.#manifests.inspect(root, at.host)
    await journal.results.foundAt(job.id, key, { ...at, bytes: size })
    this.#keep(at.attempt, { job: job.id, key, host: at.host })
    this.bring(job, key).catch((cause) => {
      logger.debug('a result is lost', { job: job.id, task: key, cause: String(cause) })
    })
  }

  has(attempt: string): boolean {
    return this.#held.has(attempt)
  }

  /** Outputs of a result as its reader gets them. */
  async outputsOf(job: string, row: ResultRow): Promise<TaskOutputs> {
    const { held, outputs: root } = row
    if (held === undefined || root === undefined) {
      return await storedOutputs(this.#options.store, root!)
    }
    const artifact = await this.#manifests.inspect(root, held.host).catch(() => undefined)
    return this.#outputs(job, row.key, artifact ?? { root, manifest: NOTHING, size: 0 })
  }

  /**
   * The inputs of a task that goes to a host; whoever has those that other tasks made is told to give them.
   *
   * @throws OUTPUT_MISSING when a task did not write what this one takes, ARTIFACT_MISSING when it was lost:
   *   then it is being made again
   */
  async inputsFor(job: JobRun, task: Task, taken: TakenInput[], to: string): Promise<WireInput[]> {
    const found: WireInput[] = [...(task.overrides.inputs ?? job.document.base.inputs)]
    for (;;) {
      const rows = new Map(
        [...new Set(taken.map((one) => one.task))].map((key) => [key, this.#rowOf(job, key)]),
      )
      const away = taken.filter(({ task: key }) => rows.get(key)!.held !== undefined)
      const { named, failed } = await this.#parts.share(away, rows, to)
      if (failed.size === 0) {
        for (const one of taken) {
          found.push(named.get(one) ?? (await this.#ownPart(job, task, one, rows.get(one.task)!)))
        }
        return found.sort((a, b) => (a.path < b.path ? -1 : 1))
      }
      for (const key of failed) await this.bring(job, key)
    }
  }

  /** Bytes of what a task takes of others: of all of it, and by the host that has them. */
  takenBytes(job: JobRun, task: Task): TakenBytes {
    task.takenBytes ??= this.#whereTaken(job, task)
    return task.takenBytes
  }

  /** What a task takes and could not get comes here, or is made again. */
  async secure(job: JobRun, task: Task): Promise<void> {
    for (const key of new Set(task.overrides.taken?.map((one) => one.task))) {
      await this.bring(job, key)
    }
  }

  /** A host is leaving: what it has comes here. */
  evacuate(host: string, jobs: ReadonlyMap<string, JobRun>): void {
    for (const { job, key } of [...(this.#byHost.get(host)?.values() ?? [])]) {
      const run = jobs.get(job)
      if (run === undefined) continue
      this.bring(run, key).catch((cause) => {
        this.#options.logger.debug('a result is lost', { job, task: key, cause: String(cause) })
      })
    }
  }

  /**
   * Brings a result here from its host; when that cannot be reached until its lease is over, the result is
   * given up and its task runs again.
   *
   * @throws ARTIFACT_MISSING when it was given up
   */
  bring(job: JobRun, key: string): Promise<void> {
    const id = `${job.id} ${key}`
    let bringing = this.#bringing.get(id)
    if (bringing === undefined) {
      bringing = this.#queue
        .add(() => this.#bring(job.id, key, job))
        .finally(() => this.#bringing.delete(id))
      this.#bringing.set(id, bringing)
    }
    return bringing
  }

  /** Nobody takes anything of a job any more: its hosts may forget what they have. */
  release(job: string): void {
    for (const [attempt, held] of this.#held) {
      if (held.job === job) this.#letGo(attempt, held.host)
    }
  }

  #keep(attempt: string, held: Held): void {
    this.#held.set(attempt, held)
    const there = this.#byHost.get(held.host) ?? new Map<string, Held>()
    this.#byHost.set(held.host, there.set(attempt, held))
  }

  /** Its host may forget it. */
  #letGo(attempt: string, host: string): void {
    const { job } = this.#held.get(attempt) ?? {}
    this.#held.delete(attempt)
    const there = this.#byHost.get(host)
    there?.delete(attempt)
    if (there?.size === 0) this.#byHost.delete(host)
    if (job !== undefined && this.#options.kept.keep(job, host, attempt)) return
    this.#options.directory.link(host).acknowledge(attempt)
  }

  #whereTaken(job: JobRun, task: Task): TakenBytes {
    const at = new Map<string, number>()
    let total = 0
    for (const key of new Set(task.overrides.taken?.map((one) => one.task))) {
      const held = this.#options.journal.results.of(job.id, key)?.held
      if (held === undefined) continue
      at.set(held.host, (at.get(held.host) ?? 0) + held.bytes)
      total += held.bytes
    }
    return { total, at }
  }

  #outputs(job: string, key: string, artifact: Artifact): TaskOutputs {
    return heldOutputs(artifact, async () => {
      const row = this.#options.journal.results.of(job, key)
      const run = this.#options.runOf(job)
      if (row?.held !== undefined) {
        await (run === undefined ? this.#bring(job, key, undefined) : this.bring(run, key))
      }
      return await storedOutputs(this.#options.store, artifact.root)
    })
  }

  async #bring(job: string, key: string, run: JobRun | undefined): Promise<void> {
    const { journal, store, network, closing } = this.#options
    const row = journal.results.of(job, key)
    if (row?.held === undefined || row.outputs === undefined) return
    const { host, attempt } = row.held
    const root = row.outputs
    const maxBytes = journal.jobs.get(job)?.document.base.resources.diskBytes
    store.retain(root, job)
    const patience = new HostPatience(host, this.#options)
    const onProgress = (bytes: number) => {
      if (bytes > 0) patience.moved()
    }
    for (;;) {
      try {
        await store.fetch(root, { network, peer: host }, { signal: closing, maxBytes, onProgress })
        break
      } catch (cause) {
        if (closing.aborted) throw cause
        const { code } = toManyhandsError(cause)
        if (code !== 'ARTIFACT_MISSING' && code !== 'LIMIT' && patience.remains) {
          await patience.pause(closing)
          continue
        }
        await store.release(root, job)
        await this.#giveUp(job, key, run, attempt, host)
      }
    }
    await journal.results.broughtHome(job, key, row.held)
    run?.letGoInputs(row)
    this.#letGo(attempt, host)
  }

  async #giveUp(
    job: string,
    key: string,
    run: JobRun | undefined,
    attempt: string,
    host: string,
  ): Promise<never> {
    if (run !== undefined && !run.over) {
      await run.tasks.undone.retract(key)
      this.#letGo(attempt, host)
    }
    throw new ManyhandsError(
      'ARTIFACT_MISSING',
      `outputs of task ${key} of job ${job} were at host ${host}, which does not give them any more`,
      {
        hint: 'What other tasks take stays at its host until the job is over; with fetchOutputs: true it comes here.',
      },
    )
  }

  async #ownPart(job: JobRun, task: Task, one: TakenInput, row: ResultRow): Promise<WireInput> {
    const part =
      row.outputs === undefined
        ? undefined
        : await job.inputs.part(row.outputs, one.from, inputsOwner(task))
    if (part === undefined) throw missingPart(one)
    return { path: one.path, root: part.root, bytes: part.size }
  }

  #rowOf(job: JobRun, key: string): ResultRow {
    const row = this.#options.journal.results.of(job.id, key)
    if (row !== undefined) return row
    throw new ManyhandsError('ARTIFACT_MISSING', `outputs of task ${key} are being made again`)
  }
}

const NOTHING: Artifact['manifest'] = { v: 2, kind: 'tree', files: [], directories: [] }
