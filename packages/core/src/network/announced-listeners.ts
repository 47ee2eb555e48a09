import type { Multiaddr } from '@multiformats/multiaddr'

interface Components {
  events: EventTarget
  addressManager: {
    confirmObservedAddr(address: Multiaddr, options: { type: 'transport' }): void
  }
}

/**
 * A service of the node by which every address that it listens on is one of its addresses. Without it
 * libp2p keeps those on public IP addresses to itself until servers of the public libp2p network have
 * tried them, and a computer on the open internet says that it is nowhere but on its loopback.
 */
export function announcedListeners(): (components: Components) => object {
  return ({ events, addressManager }) => {
    events.addEventListener('transport:listening', (event) => {
      const { detail: listener } = event as CustomEvent<{ getAddrs(): Multiaddr[] }>
      for (const address of listener.getAddrs()) {
        addressManager.confirmObservedAddr(address, { type: 'transport' })
      }
    })
    return {}
  }
}
