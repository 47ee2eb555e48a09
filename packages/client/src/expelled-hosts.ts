import type { Network } from '@manyhands/core'
import type { AttemptLeases } from './attempt-leases.ts'
import type { HostDirectory } from './host-directory.ts'

/**
 * What runs at a host that is no member of the private network any more is lost at once, without waiting for
 * its lease. When it is this computer that was revoked, that is all of them.
 */
export function giveUpExpelled(
  network: Network,
  directory: HostDirectory,
  leases: AttemptLeases,
): void {
  network.addEventListener('peer:expelled', (event) => {
    const { peer, reason } = (event as CustomEvent<{ peer: string; reason: string }>).detail
    directory.unreachable(peer)
    leases.expelled(peer, reason)
  })
  network.addEventListener('membership:ended', (event) => {
    const { message } = (event as CustomEvent<Error>).detail
    for (const { peerId } of directory.records()) {
      directory.unreachable(peerId)
      leases.expelled(peerId, message)
    }
  })
}
