import { hash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'
import { CborReader } from './cbor-reader.ts'
import { CborWriter, EncodedDocument, NOT_PLAIN } from './cbor-writer.ts'

const writer = new CborWriter()
const reader = new CborReader()

/**
 * Encodes a document as DAG-CBOR: deterministic, so that equal documents have equal hashes.
 * Fields that are undefined are left out.
 *
 * @throws PROTOCOL when it holds what DAG-CBOR has no form for: functions, NaN, infinities
 */
export function encodeDocument(document: unknown): Uint8Array {
  try {
    return writer.encode(document)
  } catch (cause) {
    if (cause !== NOT_PLAIN) throw cause
  }
  try {
    return dagCbor.encode(withoutUndefined(document))
  } catch (cause) {
    throw new ManyhandsError('PROTOCOL', `not encodable: ${(cause as Error).message}`, { cause })
  }
}

/**
 * SHA-256 of a few bytes and the document that is encoded behind them.
 *
 * @throws as {@link encodeDocument}
 */
export function hashDocument(document: unknown, prefix: Uint8Array): Uint8Array {
  try {
    return hash('sha256', writer.view(document, prefix), 'buffer')
  } catch (cause) {
    if (cause !== NOT_PLAIN) throw cause
  }
  return hash('sha256', Buffer.concat([prefix, encodeDocument(document)]), 'buffer')
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
  return parseDocument(schema, decodeValue(bytes, what), what)
}

/** Checks what was decoded. @throws PROTOCOL when it is not of the schema's shape */
export function parseDocument<Shape>(
  schema: z.ZodType<Shape>,
  value: unknown,
  what: string,
): Shape {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new ManyhandsError('PROTOCOL', `${what}: ${z.prettifyError(parsed.error).slice(0, 500)}`)
}

/** Encodes a document that will be part of others. @throws as {@link encodeDocument} */
export function encodedDocument(document: unknown): EncodedDocument {
  return new EncodedDocument(encodeDocument(document))
}

/** Decodes DAG-CBOR of any shape. @throws PROTOCOL for bytes that are none */
export function decodeValue(bytes: Uint8Array, what: string): unknown {
  try {
    return reader.decode(bytes)
  } catch (cause) {
    if (cause !== NOT_PLAIN) throw cause
  }
  try {
    return dagCbor.decode(bytes)
  } catch (cause) {
    throw new ManyhandsError('PROTOCOL', `${what}: not DAG-CBOR (${(cause as Error).message})`, {
      cause,
    })
  }
}

/**
 * The same document without its undefined fields, which DAG-CBOR has no form for. Only what holds
 * one is copied: this runs for every message.
 */
export function withoutUndefined(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  // Beside something that only the full encoder can write.
  if (value instanceof EncodedDocument) return decodeValue(value.bytes, 'a part')
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
