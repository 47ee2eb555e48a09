import type { EngineAddress } from './engine-address.ts'
import type { EngineTarget } from './engine-target.ts'

/** One way to come by an engine's address. */
export interface ConnectStrategy {
  /** For messages: how the address came about. */
  readonly name: string
  /**
   * Addresses in the order to try; none when this way is not open here.
   *
   * @throws CONFIG_INVALID when the owner named what is no address
   */
  targets(address: EngineAddress): EngineTarget[]
}
