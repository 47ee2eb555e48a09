import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Logger,
  ManyhandsError,
  type Network,
  type Runtime,
  type RuntimeTask,
  removeTree,
} from '@manyhands/core'
import type { Attempt } from '../attempt.ts'
import { fetchSecrets } from '../attempt-secrets.ts'
import type { AttemptStaging, Cleanup } from '../attempt-staging.ts'
import { sandboxSpec } from '../sandbox-spec.ts'
import { unlessEnded } from '../unless-ended.ts'
import { WarmSlot } from './warm-slot.ts'

export interface WarmRunnerOptions {
  network: Network
  instance: string
  workDir: string
  staging: AttemptStaging
  logger: Logger
}

/** Starts tasks in warm sandboxes: in the one that was claimed for an attempt, or in a new one. */
export class WarmRunner {
  readonly #options: WarmRunnerOptions

  constructor(options: WarmRunnerOptions) {
    this.#options = options
  }

  /**
   * @param cleanups - gets what gives back what the attempt holds beside its sandbox
   * @throws as Runtime.startWarm and WarmSandbox.run, UNSUPPORTED, what staging throws
   */
  async start(
    attempt: Attempt,
    runtime: Runtime,
    maxRuntimeMs: number,
    cleanups: Cleanup[],
  ): Promise<{ task: RuntimeTask; outDir: string }> {
    const { staging } = this.#options
    const { signal } = attempt.ending
    const ready = await this.#claimed(attempt)
    const inDir = await staging.inputs(attempt, cleanups)
    const slot = ready ?? (await this.#open(attempt, runtime, maxRuntimeMs, inDir, cleanups))
    attempt.warm = slot
    const { sandbox } = slot
    // Before the last one is let go of: mostly they are the same, and stay where they are.
    const kept = staging.keepInputs(attempt)
    await slot.releaseInputs?.()
    slot.releaseInputs = kept
    slot.tasks += 1
    const { id: attemptId, spec } = attempt
    const { command, args, env } = spec
    const task = await sandbox.run(
      { attemptId, command, args, env, maxRuntimeMs, inDir },
      { signal },
    )
    return { task, outDir: sandbox.outDir }
  }

  /** The sandbox that was claimed, once it is ready; undefined when another one is to be made. */
  async #claimed(attempt: Attempt): Promise<WarmSlot | undefined> {
    const { warm: slot, ending } = attempt
    if (slot === undefined) return undefined
    await unlessEnded(slot.ready, ending.signal)
    if (slot.sandbox.usable && !slot.ending) return slot
    // Its room is the attempt's; so it is gone before another one takes it.
    await unlessEnded(slot.close(), ending.signal)
    attempt.warm = undefined
    return undefined
  }

  async #open(
    attempt: Attempt,
    runtime: Runtime,
    maxRuntimeMs: number,
    inDir: string | undefined,
    cleanups: Cleanup[],
  ): Promise<WarmSlot> {
    const { staging, network, instance, workDir, logger } = this.#options
    if (runtime.startWarm === undefined) {
      throw new ManyhandsError('UNSUPPORTED', `the runtime ${runtime.name} keeps no sandbox warm`)
    }
    const { signal } = attempt.ending
    const image = await staging.image(attempt, runtime, cleanups)
    signal.throwIfAborted()
    const secrets = await fetchSecrets(attempt, network)
    const { setup } = attempt.spec.warm!
    const {
      command: _,
      args: __,
      ...spec
    } = sandboxSpec(attempt, { instance, image, maxRuntimeMs, secrets })
    // No attempt's own directory is called so.
    const dir = join(workDir, `${attempt.id}.warm`)
    await mkdir(dir, { mode: 0o700 })
    try {
      const sandbox = await runtime.startWarm(
        setup === undefined ? spec : { ...spec, setup },
        { dir, inDir },
        { signal },
      )
      return new WarmSlot(attempt, sandbox, dir, logger)
    } catch (cause) {
      await removeTree(dir).catch(() => {})
      throw cause
    }
  }
}
