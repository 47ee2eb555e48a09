import type { Multiaddr } from '@multiformats/multiaddr'
import { ManyhandsError } from '../errors.ts'

/** Reads multiaddrs. @throws ADDRESS_INVALID naming the text */
export async function parseAddresses(texts: readonly string[]): Promise<Multiaddr[]> {
  if (texts.length === 0) return []
  const [{ multiaddr }, { peerIdFromString }] = await Promise.all([
    import('@multiformats/multiaddr'),
    import('@libp2p/peer-id'),
  ])
  return texts.map((text) => {
    try {
      const address = multiaddr(text)
      const peer = peerOfAddress(address)
      if (peer !== undefined) peerIdFromString(peer)
      if (address.getComponents().length > 0) return address
    } catch (cause) {
      throw invalid(text, cause)
    }
    throw invalid(text)
  })
}

/** The peer id that an address ends with. */
export function peerOfAddress(address: Multiaddr): string | undefined {
  return address.getComponents().findLast(({ name }) => name === 'p2p')?.value
}

function invalid(text: string, cause?: unknown): ManyhandsError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text
  return new ManyhandsError('ADDRESS_INVALID', `not an address: ${JSON.stringify(shown)}`, {
    cause,
  })
}
