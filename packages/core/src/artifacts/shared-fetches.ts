import { ManyhandsError } from '../errors.ts'
import type { Artifact, TransferSource } from './artifact-store.ts'

/** What one caller of a shared transfer wants of it. */
export interface FetchCaller {
  signal?: AbortSignal
  maxBytes?: number
  onProgress?: (bytes: number, total?: number) => void
  onSource?: (source: TransferSource) => void
}

/** What a transfer tells all its callers. */
export interface TransferEvents {
  signal: AbortSignal
  onManifest: (size: number) => void
  /** Bytes that have to come besides those that came. */
  onMissing: (bytes: number) => void
  onWritten: (bytes: number) => void
  onSource: (source: TransferSource) => void
}

interface Shared {
  promise: Promise<Artifact>
  peer: string
  controller: AbortController
  callers: Set<Member>
  size: number | undefined
  written: number
  total: number | undefined
}

interface Member {
  caller: FetchCaller
  leave: (reason: unknown) => void
}

/** One transfer per root, whoever asks. It goes on for as long as one caller wants it. */
export class SharedFetches {
  readonly #running = new Map<string, Shared>()

  /** The peer of the transfer that runs for a root. */
  peerOf(root: string): string | undefined {
    return this.#running.get(root)?.peer
  }

  /** Joins the transfer of a root, or begins it. */
  join(
    root: string,
    peer: string,
    caller: FetchCaller,
    begin: (events: TransferEvents) => Promise<Artifact>,
  ): Promise<Artifact> {
    let shared = this.#running.get(root)
    if (shared === undefined) {
      shared = this.#begin(root, peer, begin)
      this.#running.set(root, shared)
    }
    return this.#wait(shared, caller)
  }

  /** Ends all transfers. Resolves when they have ended. */
  async abort(reason: unknown): Promise<void> {
    const running = [...this.#running.values()]
    for (const shared of running) shared.controller.abort(reason)
    await Promise.allSettled(running.map((shared) => shared.promise))
  }

  #begin(root: string, peer: string, begin: (events: TransferEvents) => Promise<Artifact>): Shared {
    const controller = new AbortController()
    const callers = new Set<Member>()
    const shared: Shared = {
      promise: Promise.resolve().then(() =>
        begin({
          signal: controller.signal,
          onManifest: (size) => {
            shared.size = size
            for (const member of callers) refuseBeyond(member, size)
            for (const { caller } of callers) caller.onProgress?.(0, size)
            controller.signal.throwIfAborted()
          },
          onMissing: (bytes) => {
            shared.total = shared.written + bytes
            for (const { caller } of callers) caller.onProgress?.(shared.written, shared.total)
          },
          onSource: (source) => {
            for (const { caller } of callers) caller.onSource?.(source)
          },
          onWritten: (bytes) => {
            shared.written += bytes
            for (const { caller } of callers) caller.onProgress?.(shared.written, shared.total)
          },
        }),
      ),
      peer,
      controller,
      callers,
      size: undefined,
      written: 0,
      total: undefined,
    }
    const end = () => {
      if (this.#running.get(root) === shared) this.#running.delete(root)
    }
    shared.promise.then(end, end)
    controller.signal.addEventListener('abort', end, { once: true })
    return shared
  }

  #wait(shared: Shared, caller: FetchCaller): Promise<Artifact> {
    return new Promise<Artifact>((resolve, reject) => {
      const settle = () => {
        shared.callers.delete(member)
        caller.signal?.removeEventListener('abort', onAbort)
      }
      const member: Member = {
        caller,
        leave: (reason) => {
          settle()
          // The transfer's own end is waited for: nothing writes on behind the back of the last one.
          if (shared.callers.size > 0) return reject(reason)
          shared.controller.abort(reason)
          const left = () => reject(reason)
          shared.promise.then(left, left)
        },
      }
      const onAbort = () => member.leave(caller.signal!.reason)
      shared.callers.add(member)
      if (caller.signal?.aborted) return onAbort()
      caller.signal?.addEventListener('abort', onAbort, { once: true })
      shared.promise.then(
        (artifact) => {
          settle()
          resolve(artifact)
        },
        (error) => {
          settle()
          reject(error)
        },
      )
      if (shared.size !== undefined) refuseBeyond(member, shared.size)
    })
  }
}

function refuseBeyond({ caller, leave }: Member, size: number): void {
  if (caller.maxBytes !== undefined && size > caller.maxBytes)
    leave(tooLarge(size, caller.maxBytes))
}

export function tooLarge(size: number, maxBytes: number): ManyhandsError {
  return new ManyhandsError('LIMIT', `an artifact of ${size} bytes, where ${maxBytes} are allowed`)
}
