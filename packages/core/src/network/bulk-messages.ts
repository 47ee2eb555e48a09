import { z } from 'zod'
import { type BulkTicket, TICKET_KEY_BYTES } from './bulk-ticket.ts'

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
