import { LIMITS } from '../limits.ts'
import type { Logger } from '../network/network.ts'
import type { RpcMethod, RpcParams, RpcResult } from '../wire/rpc-methods.ts'
import type { LocalMembership, RosterNews } from './local-membership.ts'
import { isBound } from './peer-binding.ts'
import type { FiledDocument } from './roster-document.ts'

/** Bytes of documents in one call, with room to spare in its frame. */
const CALL_BYTES = 2 * 1024 * 1024

/** What of a network the roster needs. */
export interface RosterNetwork {
  readonly peerId: string
  peers(): string[]
  call<Method extends RpcMethod>(
    peer: string,
    method: Method,
    params: RpcParams<Method>,
  ): Promise<RpcResult<Method>>
  handle<Method extends RpcMethod>(
    method: Method,
    handler: (params: RpcParams<Method>, context: { peer: string }) => Promise<RpcResult<Method>>,
  ): void
}

/**
 * Keeps the rosters of all members that are connected the same: two that meet compare theirs, and what is new
 * is told to all at once.
 */
export class RosterSync {
  readonly #membership: LocalMembership
  readonly #network: RosterNetwork
  readonly #logger: Logger | undefined
  readonly #onDocuments = (event: Event): void => {
    const { documents, from } = (event as CustomEvent<RosterNews>).detail
    for (const peer of this.#network.peers()) {
      if (peer !== from) void this.#quietly(this.#send(peer, documents))
    }
  }

  constructor(membership: LocalMembership, network: RosterNetwork, logger?: Logger) {
    this.#membership = membership
    this.#network = network
    this.#logger = logger
    const { roster } = membership
    network.handle('roster.compare', async () => ({ digest: roster.digest }))
    network.handle('roster.list', async ({ after = '' }) => {
      const ids = roster.ids().filter((id) => id > after)
      return {
        ids: ids.slice(0, LIMITS.rosterIdsPerCall),
        more: ids.length > LIMITS.rosterIdsPerCall,
      }
    })
    network.handle('roster.get', async ({ ids }) => {
      const known = ids.flatMap((id) => roster.get(id) ?? [])
      return { documents: (batches(known)[0] ?? []).map(({ bytes }) => bytes) }
    })
    network.handle('roster.put', async ({ documents }, { peer }) => {
      await membership.take(documents, peer)
      return {}
    })
    network.handle('roster.peers', async () => ({
      bindings: membership.met.bindings.slice(0, LIMITS.rosterPeersPerCall),
    }))
    membership.addEventListener('documents', this.#onDocuments)
  }

  close(): void {
    this.#membership.removeEventListener('documents', this.#onDocuments)
  }

  /** Somebody is here: one of the two compares. */
  met(peer: string): void {
    if (this.#network.peerId < peer) void this.#quietly(this.compare(peer))
  }

  /** Gets what the other one has and gives what it lacks. */
  async compare(peer: string): Promise<void> {
    const network = this.#network
    const { roster } = this.#membership
    const { digest } = await network.call(peer, 'roster.compare', { digest: roster.digest })
    if (digest === roster.digest) return
    const theirs = new Set<string>()
    for (let more = true, after: string | undefined; more; ) {
      const page = await network.call(peer, 'roster.list', after === undefined ? {} : { after })
      for (const id of page.ids) theirs.add(id)
      after = page.ids.at(-1)
      more = page.more && after !== undefined && theirs.size < 3 * LIMITS.networkMembers
    }
    await this.#fetch(
      peer,
      [...theirs].filter((id) => !roster.has(id)),
    )
    await this.#send(
      peer,
      roster
        .documents()
        .filter(({ id }) => !theirs.has(id))
        .toArray(),
    )
  }

  /** Asks who else was seen. */
  async learnPeers(peer: string): Promise<void> {
    const { met, network } = this.#membership
    const { bindings } = await this.#network.call(peer, 'roster.peers', {})
    for (const binding of bindings.reverse()) {
      if (isBound(binding, network, binding.peer)) met.saw(binding)
    }
  }

  async #fetch(peer: string, wanted: string[]): Promise<void> {
    const documents: Uint8Array[] = []
    for (let at = 0; at < wanted.length; ) {
      const ids = wanted.slice(at, at + LIMITS.rosterDocumentsPerCall)
      const page = await this.#network.call(peer, 'roster.get', { ids })
      documents.push(...page.documents)
      // One that has nothing of what it named is done with.
      at += Math.max(1, page.documents.length)
    }
    // All at once: what rests on what is then known, in whatever order it came.
    await this.#membership.take(documents, peer)
  }

  async #send(peer: string, documents: FiledDocument[]): Promise<void> {
    for (const batch of batches(documents)) {
      await this.#network.call(peer, 'roster.put', { documents: batch.map(({ bytes }) => bytes) })
    }
  }

  async #quietly(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      // It is gone, or will be told again when it is met the next time.
      this.#logger?.debug('a member was not told who is a member', { error: String(error) })
    }
  }
}

function batches(documents: FiledDocument[]): FiledDocument[][] {
  const all: FiledDocument[][] = []
  let bytes = CALL_BYTES
  for (const filed of documents) {
    const last = all.at(-1)
    if (
      last === undefined ||
      bytes + filed.bytes.length > CALL_BYTES ||
      last.length >= LIMITS.rosterDocumentsPerCall
    ) {
      all.push([filed])
      bytes = filed.bytes.length
    } else {
      last.push(filed)
      bytes += filed.bytes.length
    }
  }
  return all
}
