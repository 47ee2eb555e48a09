import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'

/**
 * Encodes a document as DAG-CBOR: deterministic, so that equal documents have equal hashes.
 * Fields that are undefined are left out.
 *
 * @throws PROTOCOL when it holds what DAG-CBOR has no form for: functions, NaN, infinities
 */
export function encodeDocument(document: unknown): Uint8Array {
  try {
    return dagCbor.encode(withoutUndefined(document))
  } catch (cause) {
    throw new ManyhandsError('PROTOCOL', `not encodable: ${(cause as Error).message}`, { cause })
  }
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

/**
 * The same document without its undefined fields, which DAG-CBOR has no form for. Only what holds
 * one is copied: this runs for every message.
 */
export function withoutUndefined(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return withoutUndefinedItems(value)
  const record = value as Record<string, unknown>
  let copy: Record<string, unknown> | undefined
  for (const key in record) {
    const field = record[key]
    const kept = withoutUndefined(field)
    if (kept === field && field !== undefined) continue
    copy ??= { ...record }
    if (kept === undefined) delete copy[key]
    else copy[key] = kept
  }
  return copy ?? value
}

function withoutUndefinedItems(items: unknown[]): unknown[] {
  let copy: unknown[] | undefined
  for (let index = 0; index < items.length; index++) {
    const kept = withoutUndefined(items[index])
    if (kept === items[index]) continue
    copy ??= [...items]
    copy[index] = kept
  }
  return copy ?? items
}
