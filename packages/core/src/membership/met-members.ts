import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { type PeerBinding, peerBindingSchema } from './peer-binding.ts'
import { writeDurably } from './roster-shelf.ts'
import type { Signed } from './signed-document.ts'

/** How long what is new may wait to be written, ms: it is a help for the next start, not a promise. */
const WRITE_MS = 1000

const metSchema = z.strictObject({
  v: z.literal(1),
  addresses: z.array(z.string().max(LIMITS.addressBytes)),
  bindings: z.array(peerBindingSchema),
})

/** Where members were reached, and which peers were seen: the latest ones, for later starts. */
export class MetMembers {
  readonly #path: string | undefined
  #addresses: string[] = []
  /** By peer, the latest one last. */
  readonly #bindings = new Map<string, Signed<PeerBinding>>()
  #timer: NodeJS.Timeout | undefined
  #dirty = false

  /** @param directory - where it outlives the process */
  constructor(directory: string | undefined) {
    this.#path = directory === undefined ? undefined : join(directory, 'met')
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  get bindings(): Signed<PeerBinding>[] {
    return [...this.#bindings.values()].reverse()
  }

  /** What an earlier process has met; what cannot be read was never met. */
  async read(): Promise<void> {
    if (this.#path === undefined) return
    try {
      const bytes = new Uint8Array(await readFile(this.#path))
      const { addresses, bindings } = decodeDocument(metSchema, bytes, 'members met')
      this.#addresses = [...new Set([...this.#addresses, ...addresses])]
      for (const binding of bindings.reverse()) this.#add(binding)
    } catch {}
  }

  at(address: string): void {
    if (address.length > LIMITS.addressBytes || this.#addresses[0] === address) return
    const others = this.#addresses.filter((known) => known !== address)
    this.#addresses = [address, ...others].slice(0, LIMITS.addressesRemembered)
    this.#changed()
  }

  /** A peer of a member was seen. @returns whether that is news */
  saw(binding: Signed<PeerBinding>): boolean {
    const known = this.#bindings.get(binding.peer)?.member === binding.member
    this.#add(binding)
    if (!known) this.#changed()
    return !known
  }

  async write(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#path === undefined || !this.#dirty) return
    this.#dirty = false
    const met = { v: 1, addresses: [...this.#addresses], bindings: this.bindings }
    await writeDurably(this.#path, encodeDocument(met))
  }

  #add(binding: Signed<PeerBinding>): void {
    this.#bindings.delete(binding.peer)
    this.#bindings.set(binding.peer, binding)
    const own = [...this.#bindings.values()].filter(({ member }) => member === binding.member)
    if (own.length > LIMITS.peersPerMember) this.#bindings.delete(own[0]!.peer)
    if (this.#bindings.size > LIMITS.networkMembers) {
      const [oldest] = this.#bindings.keys()
      this.#bindings.delete(oldest as string)
    }
  }

  #changed(): void {
    this.#dirty = true
    this.#timer ??= setTimeout(() => {
      this.write().catch(() => {})
    }, WRITE_MS).unref()
  }
}
