import type { Artifact, ArtifactStore, Network } from '@manyhands/core'

/** What results consist of is remembered of so many. */
const REMEMBERED = 256
/** What consists of more files than this is asked for again. */
const REMEMBERED_FILES = 1_000

export interface HeldManifestsOptions {
  network: Network
  store: ArtifactStore
  closing: AbortSignal
}

/** What results that stay at their hosts consist of. */
export class HeldManifests {
  readonly #options: HeldManifestsOptions
  readonly #known = new Map<string, Promise<Artifact>>()

  constructor(options: HeldManifestsOptions) {
    this.#options = options
  }

  /** @throws as ArtifactStore.inspect */
  inspect(root: string, host: string): Promise<Artifact> {
    const { store, network, closing } = this.#options
    let known = this.#known.get(root)
    if (known === undefined) {
      known = store.inspect(root, { network, peer: host }, { signal: closing })
      known.then(
        ({ manifest }) => {
          if (manifest.files.length > REMEMBERED_FILES) this.#known.delete(root)
        },
        () => this.#known.delete(root),
      )
      this.#known.set(root, known)
      for (const oldest of this.#known.keys()) {
        if (this.#known.size <= REMEMBERED) break
        this.#known.delete(oldest)
      }
    }
    return known
  }
}
