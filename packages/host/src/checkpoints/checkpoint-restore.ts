import {
  type ArtifactStore,
  LIMITS,
  ManyhandsError,
  type Network,
  TransferCounts,
  toManyhandsError,
} from '@manyhands/core'
import type { Attempt } from '../attempt.ts'
import { whenClientIsThere } from '../client-away.ts'
import { checkpointHolder } from '../held-artifacts.ts'
import type { StageSource } from '../input-stage.ts'

/** Brings the checkpoint that an attempt begins with to its /out. */
export class CheckpointRestore {
  readonly #store: ArtifactStore
  readonly #network: Network
  readonly #counts = new TransferCounts()

  constructor(store: ArtifactStore, network: Network) {
    this.#store = store
    this.#network = network
  }

  /**
   * The files are the attempt's own; in the store they stay for as long as there is room, as an attempt that
   * comes after it may begin with the same.
   *
   * @throws as ArtifactStore.fetch: nothing is put there that is not whole. What is missing or corrupt has
   *   the root in `details.restore`
   */
  async bring(
    attempt: Attempt,
    outDir: string,
    { peer, maxBytes, signal, onReceived }: Omit<StageSource, 'phase'>,
  ): Promise<void> {
    const { root } = attempt.spec.restore!
    // Not that of the checkpoints that it makes: it may make the very same one.
    const holder = `${checkpointHolder(attempt.id)} restored`
    const transfer = this.#counts.follow(root)
    this.#store.retain(root, holder)
    try {
      const from = { network: this.#network, peer }
      await whenClientIsThere({ ...from, signal }, (getsOn) =>
        this.#store.fetch(root, from, {
          signal,
          maxBytes: Math.min(maxBytes, LIMITS.checkpointBytes),
          onProgress: (bytes) => {
            if (bytes > 0) getsOn()
            const fresh = transfer.fresh(bytes)
            if (fresh > 0) onReceived(fresh)
          },
        }),
      )
      await this.#store.place(root, outDir, 'copy')
      this.#store.keep(root)
    } catch (cause) {
      // What is missing may also be an input: only this says something of the checkpoint.
      const { code, message } = toManyhandsError(cause)
      if (code !== 'ARTIFACT_MISSING' && code !== 'ARTIFACT_CORRUPT') throw cause
      throw new ManyhandsError(code, message, { details: { restore: root }, cause })
    } finally {
      transfer.end()
      await this.#store.release(root, holder)
    }
  }
}
