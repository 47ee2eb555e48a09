import { createSecureContext, type SecureContext } from 'node:tls'
import { z } from 'zod'
import { PROTOCOLS } from '../wire/protocols.ts'

/**
 * What lets its holder connect once: sent over the authenticated connection of two peers, so that who
 * shows the key is the peer it was given to. The id travels in the clear in the first packet.
 */
export interface BulkTicket {
  id: string
  key: Uint8Array
  port: number
}

/** Asks for a socket beside the connection: with a ticket by who accepts it, else for a ticket. */
export interface BulkRequest {
  v: 1
  protocol: string
  ticket?: BulkTicket
}

export interface BulkAnswer {
  ok: boolean
  ticket?: BulkTicket
}

export const BULK_PROTOCOL = PROTOCOLS.bulk
export const TICKET_ID_BYTES = 16
export const TICKET_KEY_BYTES = 32

const ticketSchema = z.object({
  id: z.string().regex(/^[0-9a-f]{32}$/),
  key: z.instanceof(Uint8Array).refine((key) => key.length === TICKET_KEY_BYTES),
  port: z.number().int().min(1).max(65_535),
})

export const bulkRequestSchema: z.ZodType<BulkRequest> = z.object({
  v: z.literal(1),
  protocol: z.string().max(256),
  ticket: ticketSchema.optional(),
})

export const bulkAnswerSchema: z.ZodType<BulkAnswer> = z.object({
  ok: z.boolean(),
  ticket: ticketSchema.optional(),
})

/** TLS 1.3 with nothing but a key both sides know; the key exchange keeps it forward secret. */
export function bulkSecureContext(): SecureContext {
  return createSecureContext({
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // A pre-shared key goes with a hash, and by default with this one.
    ciphers: 'TLS_AES_128_GCM_SHA256',
  })
}
