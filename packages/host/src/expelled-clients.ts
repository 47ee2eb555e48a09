import type { Logger, Network } from '@manyhands/core'
import { type ClientEndParts, endClient } from './client-end.ts'
import type { WarmPool } from './warm/warm-pool.ts'

export interface ExpelledClientsParts extends Omit<ClientEndParts, 'endWarm'> {
  network: Network
  warm: WarmPool
  logger: Logger
}

/**
 * What runs here of a client that is no member of the private network any more is ended. When it is this
 * computer that was revoked, that is all of it: nobody may take its results.
 */
export function endExpelled(parts: ExpelledClientsParts): void {
  const { network, attempts, warm, logger } = parts
  const end = (client: string, reason: string): void => {
    const endWarm = (of: string): Promise<void> => warm.endAll({ client: of })
    // The network cuts it off by itself, when it has heard why.
    endClient({ ...parts, endWarm }, client, reason, async () => {}).catch((error) =>
      logger.warn('work of a former member could not be ended', { client, error }),
    )
  }
  network.addEventListener('peer:expelled', (event) => {
    const { peer, reason } = (event as CustomEvent<{ peer: string; reason: string }>).detail
    end(peer, reason)
  })
  network.addEventListener('membership:ended', (event) => {
    const { message } = (event as CustomEvent<Error>).detail
    const clients = new Set(attempts.live().map(({ client }) => client))
    for (const client of clients) end(client, message)
  })
}
