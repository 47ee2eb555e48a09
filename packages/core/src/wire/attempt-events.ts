import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import type { ReceiptProof } from '../receipts/receipt.ts'
import { PROOF_PATH_BYTES } from '../receipts/receipt.ts'
import { type AttemptEvent, attemptEventSchema } from './attempt-event.ts'
import { decodeValue, parseDocument } from './codec.ts'

const schema: z.ZodType<AttemptEvent[]> = z.array(attemptEventSchema).max(LIMITS.attemptsPerClient)

/**
 * Reads a frame of attempt events. Those that have the commonest fields alone, as most have, are looked at
 * without the schema, which takes several times as long; everything else is the schema's affair.
 *
 * @throws PROTOCOL
 */
export function decodeEvents(frame: Uint8Array): AttemptEvent[] {
  const what = 'attempt events'
  const value = decodeValue(frame, what)
  const few = Array.isArray(value) && value.length <= LIMITS.attemptsPerClient
  if (few && value.every(isPlainEvent)) return value
  return parseDocument(schema, value, what)
}

/** Whether the schema would take it, and leave it as it is; false also where only the schema can tell. */
export function isPlainEvent(value: unknown): value is AttemptEvent {
  if (!isRecord(value)) return false
  for (const field in value) {
    const is = EVENT[field]
    if (is === undefined || !is(value[field])) return false
  }
  const { attempt, seq, phase } = value
  return attempt !== undefined && seq !== undefined && phase !== undefined
}

type Check = (value: unknown) => boolean

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isAmount: Check = (value) => Number.isFinite(value) && (value as number) >= 0
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const isBoolean: Check = (value) => typeof value === 'boolean'
const isBytes: Check = (value) => value instanceof Uint8Array
const isTail: Check = (value) =>
  value instanceof Uint8Array && value.length <= LIMITS.outputTailBytes
const DIGEST = /^sha256:[0-9a-f]{64}$/
const isDigest: Check = (value) => typeof value === 'string' && DIGEST.test(value)
const PHASES = new Set<unknown>(['staging', 'running', 'collecting', 'completed', 'failed'])

const EVENT: Record<string, Check> = {
  __proto__: null as never,
  attempt: (value) => typeof value === 'string' && value.length <= 128,
  seq: isCount,
  phase: (value) => PHASES.has(value),
  usage: isUsage,
  stdout: isBytes,
  stderr: isBytes,
  stdoutAt: isAmount,
  stderrAt: isAmount,
  bytesIn: isAmount,
  end: isEnd,
}

const USAGE = [
  'elapsedMs',
  'cpu',
  'cpuMs',
  'memory',
  'memoryPeak',
  'pids',
  'disk',
  'netIn',
  'netOut',
]

function isUsage(value: unknown): boolean {
  if (!isRecord(value)) return false
  let fields = 0
  for (const field in value) {
    if (!isAmount(value[field])) return false
    fields += 1
  }
  if (fields !== USAGE.length) return false
  return USAGE.every((field) => value[field] !== undefined)
}

const END: Record<string, Check> = {
  __proto__: null as never,
  exitCode: (value) => Number.isSafeInteger(value),
  oom: isBoolean,
  timedOut: isBoolean,
  durationMs: isAmount,
  usage: isUsage,
  stdoutTail: isTail,
  stderrTail: isTail,
  outputs: isOutputs,
  proof: isProof,
}

function isEnd(value: unknown): boolean {
  if (!isRecord(value)) return false
  for (const field in value) {
    const is = END[field]
    if (is === undefined || !is(value[field])) return false
  }
  const { oom, timedOut, durationMs, usage, stdoutTail, stderrTail } = value
  return (
    oom !== undefined &&
    timedOut !== undefined &&
    durationMs !== undefined &&
    usage !== undefined &&
    stdoutTail !== undefined &&
    stderrTail !== undefined
  )
}

function isOutputs(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { root, bytes, ...more } = value
  return isDigest(root) && isAmount(bytes) && Object.keys(more).length === 0
}

function isProof(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { image, at, size, path, signature, ...more } = value as unknown as ReceiptProof
  return (
    (image === undefined || isDigest(image)) &&
    isPlace(at) &&
    isPlace(size) &&
    path instanceof Uint8Array &&
    path.length <= PROOF_PATH_BYTES &&
    signature instanceof Uint8Array &&
    signature.length === 64 &&
    Object.keys(more).length === 0
  )
}

const isPlace: Check = (value) => isCount(value) && (value as number) <= LIMITS.receiptsPerBatch
