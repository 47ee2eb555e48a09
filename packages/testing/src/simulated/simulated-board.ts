import type { Clock, Offer, Resources } from '@manyhands/core'
import type { SimulatedHostOptions } from './simulate-options.ts'
import type { SimulatedPeer } from './simulated-peer.ts'

/** Changes of what is free are gossiped at most this often, ms. */
const GOSSIP_MS = 5_000

export interface SimulatedBoardParts {
  peer: SimulatedPeer
  share: Resources
  options: SimulatedHostOptions
  /** Which disk it has: another one makes it another host. */
  disk(): number
  free(): Resources
  attempts(): number
  draining(): boolean
}

/** What a simulated host advertises, always of now. */
export class SimulatedBoard {
  readonly #parts: SimulatedBoardParts
  #clock: Clock | undefined
  #revision = 0
  #offer: Offer | undefined
  #soon: (() => void) | undefined

  constructor(parts: SimulatedBoardParts) {
    this.#parts = parts
  }

  /** A life of the host has begun, with this clock. */
  begin(clock: Clock): void {
    this.#clock = clock
    this.#soon = undefined
  }

  current(): Offer {
    this.#offer ??= this.#build()
    return this.#offer
  }

  /** The next look is fresh, and gossip hears of it soon. */
  changed(): void {
    this.#offer = undefined
    this.#soon ??= this.#clock?.after(GOSSIP_MS, () => this.announce())
  }

  /** All who listen hear of it now. */
  announce(): void {
    this.#soon?.()
    this.#soon = undefined
    this.#offer = undefined
    void this.#parts.peer.publishOffer(this.current())
  }

  #build(): Offer {
    const { peer, share, options, disk, free, attempts, draining } = this.#parts
    const { labels = {}, speed = 1 } = options
    const { cpus, memoryBytes, diskBytes, gpus } = share
    const runtime = { image: 'named', isolation: 'none', version: '1' } as const
    this.#revision += 1
    return {
      v: 1,
      peerId: peer.peerId,
      instance: `${peer.peerId.slice(-8)}-${disk()}`,
      revision: this.#revision,
      addresses: peer.addresses,
      cpus,
      memory: memoryBytes,
      disk: diskBytes,
      gpus,
      share,
      free: free(),
      runtimes: ['scripted', 'docker', 'wasm', 'microvm'].map((name) => ({ name, ...runtime })),
      platform: { os: 'linux', arch: 'x64', cpu: `simulated, speed ${speed}` },
      labels,
      attempts: attempts(),
      draining: draining(),
    }
  }
}
