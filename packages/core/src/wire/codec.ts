import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'

/**
 * Encodes a document as DAG-CBOR: deterministic, so that equal documents have equal hashes.
 * Fields that are undefined are left out.
 */
export function encodeDocument(document: unknown): Uint8Array {
  return dagCbor.encode(strip(document))
}

/**
 * Decodes and checks a document from a peer or the disk.
 *
 * @throws PROTOCOL when it is not DAG-CBOR or not of the schema's shape
 */
export function decodeDocument<Shape>(
  schema: z.ZodType<Shape>,
  bytes: Uint8Array,
  what: string,
): Shape {
  let value: unknown
  try {
    value = dagCbor.decode(bytes)
  } catch (cause) {
    throw new ManyhandsError('PROTOCOL', `${what}: not DAG-CBOR (${(cause as Error).message})`, {
      cause,
    })
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) {
    throw new ManyhandsError('PROTOCOL', `${what}: ${z.prettifyError(parsed.error).slice(0, 500)}`)
  }
  return parsed.data
}

function strip(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strip)
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  const copy: Record<string, unknown> = {}
  for (const [key, field] of Object.entries(value)) {
    if (field !== undefined) copy[key] = strip(field)
  }
  return copy
}
