import type { ControlClient } from '@manyhands/control/client'
import { ManyhandsError } from '@manyhands/core'

/** Base58, of the length that peer ids have. */
const PEER_ID = /^[1-9A-HJ-NP-Za-km-z]{46,64}$/
/** Shorter ends are more likely a slip than a choice. */
const MIN_SUFFIX = 4

/**
 * The peer that is meant: a whole id, or the end of one as tables show it, when this host knows exactly
 * one such client.
 *
 * @throws USAGE for what is neither: a rule about a slip of the pen would protect nobody
 */
export async function withPeer(control: ControlClient, given: string): Promise<string> {
  if (PEER_ID.test(given)) return given
  const end = given.replace(/^…/, '')
  const known = new Set<string>()
  if (end.length >= MIN_SUFFIX) {
    const [attempts, { clients }, blocked] = await Promise.all([
      control.attempts(),
      control.totals(),
      control.blocked(),
    ])
    for (const { client } of [...attempts, ...clients]) known.add(client)
    for (const peer of blocked) known.add(peer)
  }
  const fits = [...known].filter((peer) => peer.endsWith(end))
  if (fits.length === 1) return fits[0]!
  throw new ManyhandsError(
    'USAGE',
    fits.length > 1
      ? `${fits.length} clients end with ${given}`
      : `${given} is not a peer id, nor the end of one that this host knows`,
    { hint: '`manyhands ps --json` and `manyhands stats --by client --json` show whole ids.' },
  )
}
