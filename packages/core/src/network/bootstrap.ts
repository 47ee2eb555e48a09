import { ManyhandsError } from '../errors.ts'
import type { Network } from './network.ts'

const FIRST_REDIAL_MS = 1000
const SLOWEST_REDIAL_MS = 60_000

/**
 * Connects to all bootstrap addresses and keeps them connected. Resolves, when the first has
 * answered, with what ends it.
 *
 * @throws CONNECT_FAILED naming every address and its cause when none answers
 */
export async function connectBootstrap(
  network: Network,
  addresses: readonly string[],
): Promise<() => void> {
  const keeper = new BootstrapKeeper(network, addresses)
  try {
    await keeper.first()
  } catch (error) {
    keeper.stop()
    const { errors } = error as AggregateError
    const causes = addresses.map((address, index) => `${address} (${causeOf(errors[index])})`)
    throw new ManyhandsError('CONNECT_FAILED', `no bootstrap peer answered: ${causes.join('; ')}`, {
      cause: error,
    })
  }
  return () => keeper.stop()
}

const causeOf = (error: unknown): string => {
  const { message } = error as Error
  return message.slice(message.lastIndexOf(': ') + 2)
}

class BootstrapKeeper {
  readonly #network: Network
  readonly #addresses: readonly string[]
  readonly #stop = new AbortController()
  /** Who was found at an address. */
  readonly #found = new Map<string, string>()
  readonly #timers = new Map<string, NodeJS.Timeout>()
  readonly #onDisconnect = (event: Event): void => {
    const { detail: peer } = event as CustomEvent<string>
    for (const [address, found] of this.#found) {
      if (found === peer) this.#redial(address, FIRST_REDIAL_MS)
    }
  }

  constructor(network: Network, addresses: readonly string[]) {
    this.#network = network
    this.#addresses = addresses
    network.addEventListener('peer:disconnect', this.#onDisconnect)
  }

  async first(): Promise<void> {
    const dials = this.#addresses.map((address) => this.#dial(address))
    await Promise.any(dials)
    // Only now: before, one failure after the other is the answer, not something to repair.
    for (const [index, address] of this.#addresses.entries()) {
      dials[index]?.catch(() => this.#redial(address, FIRST_REDIAL_MS))
    }
  }

  stop(): void {
    this.#stop.abort()
    this.#network.removeEventListener('peer:disconnect', this.#onDisconnect)
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  async #dial(address: string): Promise<void> {
    const peer = await this.#network.connect(address, { signal: this.#stop.signal })
    this.#found.set(address, peer)
  }

  #redial(address: string, delayMs: number): void {
    if (this.#stop.signal.aborted || this.#timers.has(address)) return
    const timer = setTimeout(
      () => {
        this.#timers.delete(address)
        this.#dial(address).catch(() => {
          this.#redial(address, Math.min(delayMs * 2, SLOWEST_REDIAL_MS))
        })
      },
      delayMs * (0.5 + Math.random()),
    )
    this.#timers.set(address, timer.unref())
  }
}
