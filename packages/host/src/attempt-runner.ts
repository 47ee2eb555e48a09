import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type ArtifactStore,
  type AttemptEnd,
  type AttemptPhase,
  type ErrorDocument,
  type Logger,
  ManyhandsError,
  type Network,
  type Runtime,
  type RuntimeExit,
  type RuntimeOutput,
  type RuntimeTask,
  removeTree,
  toManyhandsError,
} from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import type { AttemptControl } from './attempt-control.ts'
import { asksToContinue, endOf } from './attempt-end.ts'
import type { AttemptSealer } from './attempt-sealer.ts'
import { checkSecrets, fetchSecrets } from './attempt-secrets.ts'
import type { AttemptStaging, Cleanup } from './attempt-staging.ts'
import type { CheckpointKeeper } from './checkpoints/checkpoint-keeper.ts'
import type { HostJournal } from './host-journal.ts'
import { type OutputWatcher, outputGlobs } from './output-watch.ts'
import type { SandboxEnder } from './sandbox-ender.ts'
import { sandboxSpec } from './sandbox-spec.ts'
import { unlessEnded } from './unless-ended.ts'
import type { UsageLedger } from './usage-ledger.ts'
import type { UsageMeter } from './usage-meter.ts'
import type { WarmRunner } from './warm/warm-runner.ts'

export interface AttemptRunnerOptions {
  network: Network
  instance: string
  /** Late binding: the policy may change. */
  maxRuntimeMs(): number
  runtimes: ReadonlyMap<string, { runtime: Runtime }>
  store: ArtifactStore
  staging: AttemptStaging
  warm: WarmRunner
  sealer: AttemptSealer
  sandboxes: SandboxEnder
  outputs: OutputWatcher
  checkpoints: CheckpointKeeper
  journal: HostJournal
  meter: UsageMeter
  usage: UsageLedger
  control: AttemptControl
  logger: Logger
  /** After every change of phase, and for output as it comes. */
  changed(attempt: Attempt, output?: RuntimeOutput): void
  /** After the end is durable. */
  sealed(attempt: Attempt): void
}

/**
 * Takes one attempt from its reservation to its sealed end: staging → running → collecting → end.
 * Whatever happens on the way, the end is durable before it is announced and nothing is left behind.
 */
export class AttemptRunner {
  readonly #options: AttemptRunnerOptions

  constructor(options: AttemptRunnerOptions) {
    this.#options = options
  }

  /** Runs an accepted attempt. Does not reject. */
  async run(attempt: Attempt): Promise<void> {
    await this.#guarded(attempt, async (cleanups) => {
      const { runtime } = this.#runtimeOf(attempt)
      checkSecrets(attempt, runtime)
      this.#move(attempt, 'staging')
      const { task, outDir } =
        attempt.spec.warm === undefined
          ? await this.#startCold(attempt, runtime, cleanups)
          : await this.#options.warm.start(attempt, runtime, this.#maxRuntimeMs(attempt), cleanups)
      return this.#follow(attempt, { task, outDir }, cleanups)
    })
  }

  async #startCold(
    attempt: Attempt,
    runtime: Runtime,
    cleanups: Cleanup[],
  ): Promise<{ task: RuntimeTask; outDir: string }> {
    const { staging, network, instance } = this.#options
    const { image, inDir, outDir } = await staging.stage(attempt, runtime, cleanups)
    const { signal } = attempt.ending
    signal.throwIfAborted()
    const secrets = await fetchSecrets(attempt, network)
    const by = { instance, image, maxRuntimeMs: this.#maxRuntimeMs(attempt), secrets }
    const task = await runtime.start(sandboxSpec(attempt, by), { inDir, outDir }, { signal })
    return { task, outDir }
  }

  /**
   * Takes up an attempt whose sandbox outlived the process that started it, as soon as its engine has
   * found it. Does not reject.
   */
  async adopt(attempt: Attempt, found: Promise<RuntimeTask>): Promise<void> {
    await this.#guarded(attempt, async (cleanups) => {
      cleanups.push(() => removeTree(this.#dirOf(attempt)))
      const task = await unlessEnded(found, attempt.ending.signal)
      attempt.runtimeTask = task
      await this.#countEarlierRun(attempt)
      const outDir = this.#outDirOf(attempt)
      const adopted = () => this.#options.control.adopted(attempt)
      return this.#follow(attempt, { task, outDir }, cleanups, adopted)
    })
  }

  /** Ends an attempt without having run it. */
  async refuse(attempt: Attempt, error: ManyhandsError): Promise<void> {
    await this.#guarded(attempt, () => Promise.reject(error))
  }

  async #guarded(attempt: Attempt, work: (cleanups: Cleanup[]) => Promise<AttemptEnd>) {
    const cleanups: Cleanup[] = []
    let end: AttemptEnd
    try {
      end = await work(cleanups)
    } catch (cause) {
      end = endOf(attempt, attempt.intent ? {} : { error: toManyhandsError(cause, 'HOST_FAILED') })
    }
    await this.#seal(attempt, end)
    // Behind the announcement: the client need not wait for our housekeeping.
    for (const cleanup of cleanups.reverse()) {
      await cleanup().catch((cause) => this.#warn('cleaning up failed', attempt, cause))
    }
    attempt.runtimeTask = undefined
    attempt.done.resolve()
  }

  async #follow(
    attempt: Attempt,
    { task, outDir }: { task: RuntimeTask; outDir: string },
    cleanups: Cleanup[],
    running = async () => {},
  ): Promise<AttemptEnd> {
    attempt.runtimeTask = task
    attempt.startedAt = performance.now()
    const { warm } = attempt
    // A warm sandbox is cleared, or ended, by those who keep it.
    cleanups.push(() => warm?.settled() ?? this.#options.sandboxes.remove(attempt, task))
    const ended = task.wait()
    const kill = () => void this.#options.sandboxes.kill(attempt, task, ended)
    attempt.ending.signal.addEventListener('abort', kill, { once: true })
    if (attempt.ending.signal.aborted) kill()
    const drained = this.#drain(attempt, task)
    // Before anybody is told that it runs: what was seen running is adopted by a restarted host. When
    // it cannot be written, the attempt itself goes on.
    const { runtime } = this.#runtimeOf(attempt)
    if (runtime.capabilities.recover) {
      await this.#options.journal
        .started(attempt.id, task.handle)
        .catch((cause) => this.#warn('journaling a start failed', attempt, cause))
    }
    this.#move(attempt, 'running')
    running().catch((cause) => this.#warn('an adopted attempt is not as it was', attempt, cause))
    const watch = this.#options.outputs.watch(attempt, outDir, runtime)
    const saving = this.#options.checkpoints.watch(attempt, outDir, runtime)
    const exit = await ended
    const watched = Promise.all([watch.stop(), saving.stop()])
    attempt.ending.signal.removeEventListener('abort', kill)
    await drained
    const durationMs = attempt.runMs
    await this.#options.meter.last(attempt)
    await watched
    return this.#collect(attempt, outDir, exit, durationMs)
  }

  /** How long it ran before, without its pauses: what was counted, and the time of which nobody knows. */
  async #countEarlierRun(attempt: Attempt): Promise<void> {
    const { meter, usage } = this.#options
    await meter.last(attempt)
    const { runMs, elapsedMs } = usage.countedOf(attempt.id) ?? { runMs: 0, elapsedMs: 0 }
    attempt.ranBefore(runMs + Math.max(0, attempt.sandboxMs - elapsedMs))
  }

  async #drain(attempt: Attempt, task: RuntimeTask): Promise<void> {
    try {
      for await (const output of task.output()) {
        attempt.wrote(output)
        this.#options.changed(attempt, output)
      }
    } catch (cause) {
      this.#warn('output of an attempt broke off', attempt, cause)
    }
  }

  async #collect(
    attempt: Attempt,
    outDir: string,
    exit: RuntimeExit,
    durationMs: number,
  ): Promise<AttemptEnd> {
    const end = endOf(attempt, { exit, durationMs })
    if (attempt.intent !== undefined || exit.reason === 'stopped') return end
    // More than it may keep, perhaps a million files: nobody is served by collecting that. And where it is
    // not known whether it has ended, somebody may be at work in there.
    if (exit.reason === 'disk' || exit.reason === 'engine-lost') return end
    this.#move(attempt, 'collecting')
    // What is collected takes the place of what was written; checkpoints have what that leaves.
    await this.#options.checkpoints.measured(attempt)
    const globs = outputGlobs(attempt.spec.outputs)
    const { makesOutDir } = this.#runtimeOf(attempt).runtime.capabilities
    // One with checkpoints has its directory in any case.
    attempt.leftNothing =
      makesOutDir === true && attempt.warm === undefined && !existsSync(this.#dirOf(attempt))
    if (attempt.leftNothing || (makesOutDir && !existsSync(outDir))) {
      end.error ??= missingOutputs(globs)
      return end
    }
    try {
      if (asksToContinue(attempt, exit)) {
        await this.#options.checkpoints.continued(attempt, outDir, exit, end)
        return end
      }
      const artifact = await this.#options.store.collect(outDir, globs, {
        signal: attempt.ending.signal,
        holder: attempt.id,
        copy: exit.shared === true,
      })
      if (artifact.manifest.files.length > 0 || artifact.manifest.directories.length > 0) {
        end.outputs = { root: artifact.root, bytes: artifact.size }
      } else await this.#options.store.release(artifact.root, attempt.id)
      end.error ??= missingOutputs(artifact.unmatched ?? [])
    } catch (cause) {
      // A task that already failed keeps its own reason.
      end.error ??= toManyhandsError(cause, 'HOST_FAILED').toJSON()
    }
    return end
  }

  async #seal(attempt: Attempt, end: AttemptEnd): Promise<void> {
    const root = end.outputs?.root
    const phase = await this.#options.sealer.seal(attempt, end)
    attempt.move(phase)
    this.#options.sealed(attempt)
    await this.#options.checkpoints
      .sealed(attempt)
      .catch((cause) => this.#warn('checkpoints could not be removed', attempt, cause))
    if (root === undefined || end.outputs !== undefined) return
    // Ended from outside, or not durable: nobody will ask for what it wrote.
    await this.#options.store
      .release(root, attempt.id)
      .catch((cause) => this.#warn('outputs could not be removed', attempt, cause))
  }

  #warn(message: string, attempt: Attempt, cause: unknown): void {
    this.#options.logger.warn(message, { attempt: attempt.id, cause: String(cause) })
  }

  #move(attempt: Attempt, phase: AttemptPhase): void {
    attempt.move(phase)
    this.#options.changed(attempt)
  }

  #runtimeOf(attempt: Attempt) {
    const found = this.#options.runtimes.get(attempt.spec.runtime)
    if (found === undefined) {
      throw new ManyhandsError(
        'RUNTIME_UNAVAILABLE',
        `runtime ${attempt.spec.runtime} is not offered`,
      )
    }
    return found
  }

  #maxRuntimeMs(attempt: Attempt): number {
    const { timeoutMs } = attempt.spec
    return timeoutMs === 0 ? this.#options.maxRuntimeMs() : timeoutMs
  }

  #dirOf(attempt: Attempt): string {
    return this.#options.staging.dirOf(attempt)
  }

  #outDirOf(attempt: Attempt): string {
    return join(this.#dirOf(attempt), 'out')
  }
}

/** An end without what was declared is no success; undefined when nothing is missing. */
function missingOutputs(unmatched: readonly string[]): ErrorDocument | undefined {
  const missing = unmatched.filter((glob) => glob !== '**')
  if (missing.length === 0) return undefined
  const where = missing.map((glob) => `/out/${glob}`).join(', ')
  return new ManyhandsError(
    'OUTPUT_MISSING',
    `the task ended with 0 but wrote nothing at ${where}`,
  ).toJSON()
}
