import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ArtifactStore,
  type AttemptEnd,
  type AttemptPhase,
  type Logger,
  ManyhandsError,
  type Runtime,
  type RuntimeExit,
  type RuntimeTask,
  toManyhandsError,
} from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import type { HostJournal } from './host-journal.ts'
import type { InputStage } from './input-stage.ts'
import type { UsageMeter } from './usage-meter.ts'

export interface AttemptRunnerOptions {
  instance: string
  workDir: string
  maxRuntimeMs: number
  /** Most bytes of inputs that are taken for one artifact. */
  maxInputBytes: number
  runtimes: ReadonlyMap<string, { runtime: Runtime }>
  store: ArtifactStore
  inputs: InputStage
  journal: HostJournal
  meter: UsageMeter
  logger: Logger
  /** After every change of phase, and for output as it comes. */
  changed(attempt: Attempt, output?: { stream: 'stdout' | 'stderr'; bytes: Uint8Array }): void
  /** After the end is durable. */
  sealed(attempt: Attempt): void
}

const ARTIFACT_IMAGE = /^artifact:sha256:[0-9a-f]{64}$/

/** What gives back what an attempt holds, newest last. Never throws. */
type Cleanup = () => Promise<unknown>

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
      this.#move(attempt, 'staging')
      const workspace = await this.#stage(attempt, runtime, cleanups)
      attempt.ending.signal.throwIfAborted()
      const task = await runtime.start(
        {
          attemptId: attempt.id,
          labels: {
            host: this.#options.instance,
            client: attempt.client,
            job: attempt.job,
            attempt: attempt.id,
          },
          image: workspace.image,
          command: attempt.spec.command,
          args: attempt.spec.args,
          env: attempt.spec.env,
          resources: attempt.limits,
          gpuIds: [],
          maxRuntimeMs: this.#maxRuntimeMs(attempt),
          networkProfile: attempt.spec.networkProfile,
        },
        { inDir: workspace.inDir, outDir: workspace.outDir },
        { signal: attempt.ending.signal },
      )
      return this.#follow(attempt, task, cleanups)
    })
  }

  /** Takes up an attempt whose sandbox outlived the process that started it. Does not reject. */
  async adopt(attempt: Attempt, task: RuntimeTask): Promise<void> {
    await this.#guarded(attempt, (cleanups) => {
      cleanups.push(() => rm(this.#dirOf(attempt), { recursive: true, force: true }))
      return this.#follow(attempt, task, cleanups)
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
      end = this.#endOf(
        attempt,
        attempt.intent ? {} : { error: toManyhandsError(cause, 'HOST_FAILED') },
      )
    }
    await this.#seal(attempt, end)
    // Behind the announcement: the client need not wait for our housekeeping.
    for (const cleanup of cleanups.reverse()) {
      await cleanup().catch((cause) => this.#warn('cleaning up failed', attempt, cause))
    }
    attempt.runtimeTask = undefined
    attempt.done.resolve()
  }

  async #stage(attempt: Attempt, runtime: Runtime, cleanups: Cleanup[]) {
    const { inputs } = this.#options
    const source = {
      peer: attempt.client,
      maxBytes: this.#options.maxInputBytes,
      signal: attempt.ending.signal,
      onProgress: () => {},
    }
    let image = attempt.spec.image
    if (runtime.capabilities.image === 'artifact') {
      // Never a path: the client would choose which of the owner's files is opened.
      if (!ARTIFACT_IMAGE.test(image)) {
        throw new ManyhandsError(
          'IMAGE_INVALID',
          `runtime ${runtime.name} takes images as artifacts, not by the name ${image.slice(0, 100)}`,
        )
      }
      const root = image.slice('artifact:'.length)
      const stage = await inputs.acquire([{ path: '/in/image', root }], source)
      cleanups.push(stage.release)
      image = join(stage.dir, 'image')
    }
    let inDir: string | undefined
    if (attempt.spec.inputs.length > 0) {
      const stage = await inputs.acquire(attempt.spec.inputs, source)
      cleanups.push(stage.release)
      inDir = stage.dir
    }
    const dir = this.#dirOf(attempt)
    const outDir = join(dir, 'out')
    cleanups.push(() => rm(dir, { recursive: true, force: true }))
    await mkdir(dir, { mode: 0o700 })
    await mkdir(outDir)
    return { image, inDir, outDir }
  }

  async #follow(attempt: Attempt, task: RuntimeTask, cleanups: Cleanup[]): Promise<AttemptEnd> {
    attempt.runtimeTask = task
    attempt.startedAt = performance.now()
    cleanups.push(() => task.remove())
    const kill = () =>
      void task.kill().catch((cause) => this.#warn('killing an attempt failed', attempt, cause))
    attempt.ending.signal.addEventListener('abort', kill, { once: true })
    if (attempt.ending.signal.aborted) kill()
    // Without this row a restarted host cannot adopt the sandbox, but the attempt itself goes on.
    const journaled = this.#options.journal
      .started(attempt.id, task.handle)
      .catch((cause) => this.#warn('journaling a start failed', attempt, cause))
    this.#move(attempt, 'running')
    const drained = this.#drain(attempt, task)
    const exit = await task.wait()
    attempt.ending.signal.removeEventListener('abort', kill)
    await drained
    const durationMs = attempt.runMs
    await this.#options.meter.measure(attempt)
    await journaled
    return this.#collect(attempt, exit, durationMs)
  }

  async #drain(attempt: Attempt, task: RuntimeTask): Promise<void> {
    try {
      for await (const { stream, bytes } of task.output()) {
        attempt[stream].push(bytes)
        this.#options.changed(attempt, { stream, bytes })
      }
    } catch (cause) {
      this.#warn('output of an attempt broke off', attempt, cause)
    }
  }

  async #collect(attempt: Attempt, exit: RuntimeExit, durationMs: number): Promise<AttemptEnd> {
    const end = this.#endOf(attempt, { exit, durationMs })
    if (attempt.intent !== undefined || exit.reason === 'stopped') return end
    this.#move(attempt, 'collecting')
    try {
      const artifact = await this.#options.store.collect(
        join(this.#dirOf(attempt), 'out'),
        attempt.spec.outputs.map((glob) => glob.slice('/out/'.length) || '**'),
        { signal: attempt.ending.signal },
      )
      if (artifact.manifest.files.length > 0 || artifact.manifest.directories.length > 0) {
        this.#options.store.retain(artifact.root, attempt.id)
        end.outputs = { root: artifact.root, bytes: artifact.size }
      }
      const missing = artifact.unmatched?.filter((glob) => glob !== '**') ?? []
      if (end.error === undefined && missing.length > 0) {
        end.error = new ManyhandsError(
          'OUTPUT_MISSING',
          `the task ended with 0 but wrote nothing at ${missing.map((glob) => `/out/${glob}`).join(', ')}`,
        ).toJSON()
      }
    } catch (cause) {
      // A task that already failed keeps its own reason.
      end.error ??= toManyhandsError(cause, 'HOST_FAILED').toJSON()
    }
    return end
  }

  async #seal(attempt: Attempt, end: AttemptEnd): Promise<void> {
    const phase = attempt.intent?.phase ?? phaseOf(end)
    if (attempt.intent !== undefined) {
      end.by = attempt.intent.by
      end.reason = attempt.intent.reason
      end.outputs = undefined
      end.error =
        phase === 'evicted'
          ? new ManyhandsError('EVICTED', `evicted by the host: ${end.reason}`).toJSON()
          : undefined
    }
    attempt.end = end
    try {
      await this.#options.journal.sealed(attempt.id, phase, end)
    } catch (cause) {
      // Not durable, but the client can still be told; after a restart the attempt counts as failed.
      this.#warn('sealing an attempt failed', attempt, cause)
    }
    attempt.move(phase)
    this.#options.sealed(attempt)
  }

  #endOf(
    attempt: Attempt,
    known: { exit?: RuntimeExit; durationMs?: number; error?: ManyhandsError },
  ): AttemptEnd {
    const { exit } = known
    return {
      exitCode: exit?.exitCode,
      signal: exit?.signal,
      oom: exit?.oom ?? false,
      timedOut: exit?.reason === 'max-runtime',
      durationMs: Math.round(known.durationMs ?? attempt.runMs),
      usage: attempt.usage,
      stdoutTail: attempt.stdout.bytes(),
      stderrTail: attempt.stderr.bytes(),
      error: (known.error ?? (exit && exitError(exit, attempt)))?.toJSON(),
    }
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
    return timeoutMs === 0 ? this.#options.maxRuntimeMs : timeoutMs
  }

  #dirOf(attempt: Attempt): string {
    return join(this.#options.workDir, attempt.id)
  }
}

function phaseOf(end: AttemptEnd): AttemptPhase {
  if (end.error === undefined) return 'completed'
  return end.error.code === 'HOST_LOST' ? 'lost' : 'failed'
}

/** What an exit means; undefined is success. Exit code 0 alone is not: it must have ended by itself. */
function exitError(exit: RuntimeExit, attempt: Attempt): ManyhandsError | undefined {
  const detail = exit.detail === undefined ? '' : `: ${exit.detail}`
  switch (exit.reason) {
    case 'max-runtime':
      return new ManyhandsError(
        'TASK_TIMEOUT',
        `the task ran longer than its ${attempt.spec.timeoutMs} ms${detail}`,
      )
    case 'disk':
      return new ManyhandsError(
        'TASK_DISK',
        `the task wrote more than its ${attempt.limits.diskBytes} bytes${detail}`,
      )
    case 'engine-lost':
      return new ManyhandsError(
        'RUNTIME_UNAVAILABLE',
        `the engine went away under the task${detail}`,
      )
    case 'stopped':
      return new ManyhandsError('HOST_FAILED', `the sandbox was stopped from outside${detail}`)
    case 'exited':
      if (exit.exitCode === 0) return undefined
      if (exit.oom) {
        return new ManyhandsError(
          'TASK_OOM',
          `the task used up its ${attempt.limits.memoryBytes} bytes of memory${detail}`,
        )
      }
      return new ManyhandsError(
        'TASK_FAILED',
        exit.signal === undefined
          ? `the task ended with exit code ${exit.exitCode ?? 'unknown'}${detail}`
          : `the task was ended by ${exit.signal}${detail}`,
      )
  }
}
