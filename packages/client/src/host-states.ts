import type { Clock, LocalTransferGovernor, Network } from '@manyhands/core'
import type { HostDirectory } from './host-directory.ts'
import type { HostState } from './host-state.ts'

/** Over how long the rate of transfers is taken at least, ms. */
const RATE_MS = 1_000

export interface HostStatesParts {
  network: Network
  directory: HostDirectory
  governor: Pick<LocalTransferGovernor, 'totals'>
  clock: Clock
}

interface Sample {
  at: number
  /** Bytes of content by peer, and per second since the sample before. */
  peers: Map<string, { received: number; sent: number; inRate: number; outRate: number }>
}

/** What a client says of its hosts to who watches. */
export class HostStates {
  readonly #parts: HostStatesParts
  #sample: Sample | undefined

  constructor(parts: HostStatesParts) {
    this.#parts = parts
  }

  all(): HostState[] {
    const { network, directory, clock } = this.#parts
    const now = clock.now()
    const { peers } = this.#sampled(now)
    const connections = Map.groupBy(network.connections(), ({ peer }) => peer)
    return directory
      .records()
      .filter(({ present }) => present)
      .map((record): HostState => {
        const { peerId, offer, heardAt } = record
        const all = connections.get(peerId) ?? []
        const [first] = all
        const rttMs = record.roundTrip.ms ?? first?.rttMs
        const bulk = peers.get(peerId)
        const sum = (pick: (one: (typeof all)[number]) => number) =>
          all.reduce((total, one) => total + pick(one), 0)
        return {
          offer,
          ...(first === undefined ? {} : { connection: first.kind, address: first.address }),
          ...(rttMs === undefined ? {} : { rttMs }),
          ageMs: Math.round(Math.min(now - heardAt, network.offerAge(peerId) ?? now - heardAt)),
          // Content goes over the connection or beside it: the larger number has it.
          bytesInPerSecond: Math.max(
            bulk?.inRate ?? 0,
            sum((one) => one.bytesInPerSecond),
          ),
          bytesOutPerSecond: Math.max(
            bulk?.outRate ?? 0,
            sum((one) => one.bytesOutPerSecond),
          ),
        }
      })
  }

  #sampled(now: number): Sample {
    const before = this.#sample
    if (before !== undefined && now - before.at < RATE_MS) return before
    const peers: Sample['peers'] = new Map()
    for (const { peer, received, sent } of this.#parts.governor.totals().peers) {
      const old = before?.peers.get(peer)
      const rate = (bytes: number, earlier: number | undefined) =>
        before === undefined ? 0 : ((bytes - (earlier ?? 0)) * 1000) / (now - before.at)
      const inRate = rate(received, old?.received)
      peers.set(peer, { received, sent, inRate, outRate: rate(sent, old?.sent) })
    }
    this.#sample = { at: now, peers }
    return this.#sample
  }
}
