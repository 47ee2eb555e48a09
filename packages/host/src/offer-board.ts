import { arch, cpus, platform } from 'node:os'
import {
  addResources,
  type Network,
  type Offer,
  type OfferedRuntime,
  type Resources,
  type Runtime,
  type RuntimeFingerprint,
} from '@manyhands/core'
import { type AdmissionLedger, NOTHING } from './admission-ledger.ts'

/** Changes of what is free are gossiped at most this often, ms; clients with work here hear them at once. */
const GOSSIP_PERIOD_MS = 5_000

/** GPUs that an offer names one by one. */
const OFFERED_GPUS = 64

export interface OfferBoardOptions {
  network: Network
  ledger: AdmissionLedger
  instance: string
  labels: Record<string, string>
  runtimes: ReadonlyMap<string, { runtime: Runtime; fingerprint: RuntimeFingerprint }>
  /** What sandboxes hold that would end for whoever needs their room. */
  reclaimable(): Resources
  draining(): boolean
  /** Whether nothing is lent now; then nothing is free, so that no client asks. */
  closed(): boolean
}

/** What this host advertises, always of now. */
export class OfferBoard {
  readonly #options: OfferBoardOptions
  readonly #platform = { os: platform(), arch: arch(), cpu: cpus()[0]?.model ?? 'unknown' }
  // Starts at the wall clock, so that a restarted host's offers are newer than its old ones.
  #revision = Date.now()
  #offer: Offer | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: OfferBoardOptions) {
    this.#options = options
  }

  current(): Offer {
    this.#offer ??= this.#build()
    return this.#offer
  }

  /** Something changed: the next look is fresh, and the network hears of it soon. */
  changed(options: { now?: boolean } = {}): void {
    this.#offer = undefined
    if (options.now) this.#publish()
    else this.#timer ??= setTimeout(() => this.#publish(), GOSSIP_PERIOD_MS).unref()
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #publish(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    // Gossip is a courtesy: clients ask for the offer again when they need it.
    void this.#options.network.publishOffer(this.current()).catch(() => {})
  }

  #build(): Offer {
    const { ledger, network, runtimes, reclaimable } = this.#options
    this.#revision += 1
    return {
      v: 1,
      peerId: network.peerId,
      instance: this.#options.instance,
      revision: this.#revision,
      addresses: network.addresses.slice(0, 32),
      cpus: ledger.share.cpus,
      memory: ledger.share.memoryBytes,
      disk: ledger.share.diskBytes,
      gpus: ledger.share.gpus,
      share: ledger.share,
      free: this.#options.closed() ? NOTHING : addResources(ledger.free, reclaimable()),
      runtimes: [...runtimes.values()]
        .filter(({ fingerprint }) => fingerprint.available)
        .map(offered),
      ...(ledger.gpus.length === 0
        ? {}
        : {
            gpuModels: ledger.gpus
              .slice(0, OFFERED_GPUS)
              .map(({ model, memoryBytes }) => ({ model: model.slice(0, 256), memoryBytes })),
          }),
      platform: this.#platform,
      labels: this.#options.labels,
      attempts: ledger.size,
      draining: this.#options.draining(),
    }
  }
}

function offered(entry: { runtime: Runtime; fingerprint: RuntimeFingerprint }): OfferedRuntime {
  const { runtime, fingerprint } = entry
  // What the engine really gives, where it tells; the kind of sandbox else.
  return {
    name: runtime.name,
    image: runtime.capabilities.image,
    isolation: fingerprint.isolation ?? runtime.capabilities.isolation,
    version: fingerprint.version,
  }
}
