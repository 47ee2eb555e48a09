import { type ArtifactStore, LIMITS } from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import { sharedHolder } from './held-artifacts.ts'

/** A part of what an attempt wrote. */
export interface OutputPart {
  attempt: Attempt
  /** Relative to /out; empty for all of it. */
  path: string
}

/**
 * What other hosts may have of results that are kept here, as the clients say whose results they are. It
 * is known in memory alone: a client says it again when a host is refused.
 */
export class SharedOutputs {
  readonly #store: ArtifactStore
  readonly #isKept: (attempt: Attempt) => boolean
  /** Peers by artifact. */
  readonly #allowed = new Map<string, Set<string>>()
  /** Artifacts by attempt: they go with it. */
  readonly #of = new Map<string, Set<string>>()

  /** @param isKept - whether the result of an attempt is here still */
  constructor(store: ArtifactStore, isKept: (attempt: Attempt) => boolean) {
    this.#store = store
    this.#isKept = isKept
  }

  /** Resolves with the names of the parts, null for one that is not there. */
  async share(parts: (OutputPart | undefined)[], peer: string): Promise<(string | null)[]> {
    const roots: (string | null)[] = []
    for (const part of parts) roots.push(part === undefined ? null : await this.#share(part, peer))
    return roots
  }

  allows(peer: string, root: string): boolean {
    return this.#allowed.get(root)?.has(peer) ?? false
  }

  /** Its client needs nothing of it any more. */
  async forget(attempt: Attempt): Promise<void> {
    const roots = this.#of.get(attempt.id)
    if (roots === undefined) return
    this.#of.delete(attempt.id)
    for (const root of roots) {
      if (![...this.#of.values()].some((others) => others.has(root))) this.#allowed.delete(root)
      await this.#store.release(root, sharedHolder(attempt.id))
    }
  }

  async #share({ attempt, path }: OutputPart, peer: string): Promise<string | null> {
    const whole = attempt.end?.outputs?.root
    if (whole === undefined) return null
    if ((this.#of.get(attempt.id)?.size ?? 0) >= LIMITS.sharesPerCall) return null
    const part = await this.#store.part(whole, path, sharedHolder(attempt.id))
    if (part === undefined) return null
    const { root } = part
    // Its client has let go of it meanwhile.
    if (!this.#isKept(attempt)) {
      await this.#store.release(root, sharedHolder(attempt.id))
      return null
    }
    const roots = this.#of.get(attempt.id) ?? new Set()
    this.#of.set(attempt.id, roots.add(root))
    const peers = this.#allowed.get(root) ?? new Set()
    // The latest ones: whoever fetched it long ago has it.
    if (peers.size >= LIMITS.peersPerShare) peers.delete([...peers][0]!)
    peers.delete(peer)
    this.#allowed.set(root, peers.add(peer))
    return root
  }
}
