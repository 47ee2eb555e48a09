import { createSecureContext, type SecureContext } from 'node:tls'

/**
 * What lets its holder connect once: sent over the authenticated connection of two peers, so that who
 * shows the key is the peer it was given to. The id travels in the clear in the first packet.
 */
export interface BulkTicket {
  id: string
  key: Uint8Array
  port: number
}

export const TICKET_ID_BYTES = 16
export const TICKET_KEY_BYTES = 32

/** TLS 1.3 with nothing but a key both sides know; the key exchange keeps it forward secret. */
export function bulkSecureContext(): SecureContext {
  return createSecureContext({
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // A pre-shared key goes with a hash, and by default with this one.
    ciphers: 'TLS_AES_128_GCM_SHA256',
  })
}
