import { randomBytes } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Artifact,
  type ArtifactHolder,
  type ArtifactStore,
  type ErrorCode,
  ManyhandsError,
  type Network,
  TransferCounts,
  TransferMeter,
  type TransferPhase,
  type TransferProgress,
  type WireInput,
} from '@manyhands/core'
import { whenClientIsThere } from './client-away.ts'

/** Where inputs come from and how much is taken. */
export interface StageSource {
  peer: string
  /** What the inputs are for. */
  phase: TransferPhase
  maxBytes: number
  signal: AbortSignal
  /** Hears of bytes as they come. What was here before does not count. */
  onReceived(bytes: number): void
}

/** One attempt's part in a stage. */
export interface StagePart {
  ready: Promise<string>
  /** How far the stage is, whoever began it. */
  progress(): TransferProgress
  release(): Promise<void>
}

interface Stage {
  dir: string
  inputs: WireInput[]
  users: number
  ready: Promise<void>
  meter: TransferMeter
  /** Aborted when nobody wants it any more: one user that leaves takes it from no other. */
  unwanted: AbortController
}

/** Failures of a fetch that another source would not mend. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['LIMIT', 'DISK_FULL', 'TRANSFER_QUOTA'])

/** Connects to a host that the client names. What it may be asked for, it knows from the client. */
async function reach(
  { peer, addresses }: ArtifactHolder,
  network: Network,
  by: string,
  signal: AbortSignal,
): Promise<void> {
  if (network.isConnected(peer)) return
  let failure: unknown = new ManyhandsError('CONNECT_FAILED', `host ${peer} has no address`)
  for (const address of addresses) {
    signal.throwIfAborted()
    try {
      if ((await network.connect(address, { signal, told: { by } })) === peer) return
    } catch (cause) {
      failure = cause
    }
  }
  throw failure
}

/**
 * Directories of inputs, ready to be mounted read-only. Attempts with equal inputs share one, since
 * nobody can write to it: a job of a thousand tasks stages its scene once. What was staged is kept in
 * the store while there is room, so that the next job with the same scene receives nothing.
 */
export class InputStage {
  readonly #dir: string
  readonly #store: ArtifactStore
  readonly #network: Network
  readonly #stages = new Map<string, Stage>()
  readonly #counts = new TransferCounts()

  constructor(dir: string, store: ArtifactStore, network: Network) {
    this.#dir = dir
    this.#store = store
    this.#network = network
  }

  /**
   * Takes part in a stage, which is begun when there is none. `ready` settles with the directory that
   * stands for /in, or as soon as the signal fires; `release` gives it back, also when it is not ready.
   *
   * @throws (from `ready`) as ArtifactStore.fetch
   */
  acquire(inputs: WireInput[], source: StageSource): StagePart {
    // Who names others that have it waits for those others alone.
    const named = inputs.some(({ from = [] }) => from.length > 0) ? `${source.peer}\n` : ''
    const key = named + inputs.map((input) => `${input.path}\0${input.root}`).join('\n')
    let stage = this.#stages.get(key)
    if (stage === undefined) {
      const dir = join(this.#dir, randomBytes(8).toString('hex'))
      const unwanted = new AbortController()
      const meter = new TransferMeter(
        source.phase,
        inputs.map(({ root, bytes }) => [root, bytes] as const),
      )
      const ready = this.#build(dir, inputs, { ...source, signal: unwanted.signal }, meter)
      stage = { dir, inputs, users: 0, ready, meter, unwanted }
      this.#stages.set(key, stage)
    }
    const held = stage
    held.users += 1
    let released: Promise<void> | undefined
    return {
      ready: this.#ready(key, held, source.signal),
      progress: () => held.meter.progress(),
      release: () => {
        released ??= this.#leave(key, held)
        return released
      },
    }
  }

  async #ready(key: string, stage: Stage, signal: AbortSignal): Promise<string> {
    const left = Promise.withResolvers<never>()
    const leave = () => left.reject(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    try {
      await Promise.race([left.promise, stage.ready])
      return stage.dir
    } catch (cause) {
      // What failed is not offered to the next one.
      if (!signal.aborted && this.#stages.get(key) === stage) this.#stages.delete(key)
      throw cause
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  /** Holds every artifact of the stage for as long as it is used, and lets them stay in the store afterwards. */
  async #build(
    dir: string,
    inputs: WireInput[],
    source: StageSource,
    meter: TransferMeter,
  ): Promise<void> {
    const roots = new Set(inputs.map((input) => input.root))
    for (const root of roots) this.#store.retain(root, dir)
    const bring = async () => {
      let left = source.maxBytes
      for (const root of roots) {
        const holders = inputs.find((input) => input.root === root)?.from ?? []
        const artifact = await this.#fetch(root, left, holders, source, meter)
        meter.complete(root)
        left -= artifact.size
        this.#store.keep(root)
      }
      await this.#place(dir, inputs)
    }
    try {
      await bring()
    } catch (cause) {
      if (!(await this.#canDoBetter(cause, inputs))) throw cause
      source.signal.throwIfAborted()
      await rm(`${dir}.building`, { recursive: true, force: true })
      await bring()
    }
  }

  /** Whether what failed is worth another try, at once and here. */
  async #canDoBetter(cause: unknown, inputs: WireInput[]): Promise<boolean> {
    const code = cause instanceof ManyhandsError ? cause.code : undefined
    // What is kept for later makes room for what is wanted now; what came of that is used last.
    if (code === 'DISK_FULL') {
      const wanted = inputs.reduce((sum, { bytes }) => sum + (bytes ?? Number.POSITIVE_INFINITY), 0)
      return (await this.#store.makeRoom(wanted)).bytes > 0
    }
    // It was here and went bad: the store has let go of it, and what is missing can be fetched.
    return code === 'ARTIFACT_CORRUPT' && inputs.some(({ root }) => !this.#store.has(root))
  }

  async #fetch(
    root: string,
    maxBytes: number,
    holders: ArtifactHolder[],
    source: StageSource,
    meter: TransferMeter,
  ): Promise<Artifact> {
    const transfer = this.#counts.follow(root)
    const onProgress = (bytes: number, total?: number) => {
      meter.progressed(root, bytes, total, transfer.joined)
      const fresh = transfer.fresh(bytes)
      if (fresh > 0) source.onReceived(fresh)
    }
    try {
      const network = this.#network
      const { signal } = source
      for (const holder of holders) {
        if (holder.peer === network.peerId) continue
        try {
          await reach(holder, network, source.peer, signal)
          const from = { network, peer: holder.peer }
          return await this.#store.fetch(root, from, { signal, maxBytes, onProgress })
        } catch (cause) {
          signal.throwIfAborted()
          // Nobody else would have a smaller one, nor would there be more room for it.
          if (cause instanceof ManyhandsError && FINAL.has(cause.code)) throw cause
        }
      }
      const from = { network, peer: source.peer }
      return await whenClientIsThere({ ...from, signal }, (getsOn) =>
        this.#store.fetch(root, from, {
          signal,
          maxBytes,
          onProgress: (bytes, total) => {
            if (bytes > 0) getsOn()
            onProgress(bytes, total)
          },
        }),
      )
    } finally {
      transfer.end()
    }
  }

  /** Built beside and renamed, so that a directory with the final name is complete. */
  async #place(dir: string, inputs: WireInput[]): Promise<void> {
    const building = `${dir}.building`
    await mkdir(this.#dir, { recursive: true })
    if (inputs[0]?.path !== '/in') await mkdir(building)
    for (const { path, root } of inputs) {
      await this.#store.place(root, join(building, path.slice('/in'.length)), 'link')
    }
    await rename(building, dir)
  }

  async #leave(key: string, stage: Stage): Promise<void> {
    stage.users -= 1
    if (stage.users > 0) return
    if (this.#stages.get(key) === stage) this.#stages.delete(key)
    stage.unwanted.abort(new ManyhandsError('CANCELED', 'nobody waits for these inputs any more'))
    await stage.ready.catch(() => {})
    await rm(stage.dir, { recursive: true, force: true })
    await rm(`${stage.dir}.building`, { recursive: true, force: true })
    for (const root of new Set(stage.inputs.map((input) => input.root))) {
      await this.#store.release(root, stage.dir)
    }
  }
}
