import type { Clock, ManyhandsError, Network } from '@manyhands/core'
import type { HostDirectory } from './host-directory.ts'
import { isUnheard } from './unheard.ts'

/** A host that is connected and gives nothing is given up after so many leases. */
const LEASES = 10
/** When one is asked again that is not known to be back, ms. */
const AGAIN_MS = 500

/** How long what a host has is waited for: a lease when it is away, longer while it is there. */
export class HostPatience {
  readonly #host: string
  readonly #parts: { network: Network; directory: HostDirectory; clock: Clock }
  #movedAt: number

  constructor(host: string, parts: { network: Network; directory: HostDirectory; clock: Clock }) {
    this.#host = host
    this.#parts = parts
    this.#movedAt = parts.clock.now()
  }

  /** Something came of it. */
  moved(): void {
    this.#movedAt = this.#parts.clock.now()
  }

  get remains(): boolean {
    const { network, directory, clock } = this.#parts
    const { leaseMs } = directory.link(this.#host)
    const mostMs = network.isConnected(this.#host) ? leaseMs * LEASES : leaseMs
    return clock.now() - this.#movedAt < mostMs
  }

  /** Whether it lasts for what was cut on its way. One that speaks and does not give it has not lost its way. */
  lasts(error: ManyhandsError): boolean {
    const { network, directory } = this.#parts
    const { contact } = directory.link(this.#host)
    const there = network.isConnected(this.#host) && !contact.suspect
    if (error.code === 'TIMEOUT' && there) return false
    return isUnheard(error) && this.remains
  }

  /** Resolves when it may be asked again. @throws the signal's reason */
  async pause(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await this.#parts.directory.link(this.#host).untilReached(AGAIN_MS)
    signal.throwIfAborted()
  }
}
