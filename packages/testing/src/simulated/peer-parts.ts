import type { Clock, ManyhandsError } from '@manyhands/core'
import type { ConnectionEnd, SimulatedConnection } from './simulated-connection.ts'
import type { SimulatedWire } from './simulated-wire.ts'

/** What requests and streams of a simulated peer need of it. */
export interface PeerParts {
  /** The peer itself. */
  end: ConnectionEnd
  clock: Clock
  wire: SimulatedWire
  /** To a peer, the one that is there or a new one. */
  connection(peer: string): Promise<SimulatedConnection>
  /** Calls when the connection is cut; the answer takes that back. */
  untilCut(connection: SimulatedConnection, cut: (error: ManyhandsError) => void): () => void
}
