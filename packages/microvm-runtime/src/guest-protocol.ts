/**
 * The host's side of what is said over a machine's one channel; guest/protocol.h is the other. The guest
 * may be anybody's: every frame is bounded and checked, and a wrong one is a {@link GuestFault}.
 */
import { MICROVM_LIMITS } from './microvm-limits.ts'

export const FROM_GUEST = {
  hello: 1,
  started: 2,
  failed: 3,
  stdout: 4,
  stderr: 5,
  status: 6,
  ended: 7,
  outDirectory: 8,
  outFile: 9,
  outData: 10,
  outSkipped: 11,
  done: 12,
  limited: 13,
  pong: 14,
} as const

export const TO_GUEST = { config: 1, signal: 2, limit: 3, ping: 4 } as const

export const PROTOCOL_VERSION = 1

export interface Frame {
  type: number
  body: Buffer
}

/** The guest said what its init never says: whoever it is now, the machine ends. */
export class GuestFault extends Error {
  override readonly name = 'GuestFault'
}

/** Cuts a stream into frames. */
export class FrameReader {
  #pending: Buffer[] = []
  #bytes = 0;

  /** @throws GuestFault for a frame that is too long */
  *push(chunk: Buffer): Generator<Frame> {
    this.#pending.push(chunk)
    this.#bytes += chunk.length
    while (this.#bytes >= 5) {
      const all = this.#joined()
      const length = all.readUInt32LE(0)
      if (length > MICROVM_LIMITS.frameBytes) throw new GuestFault(`a frame of ${length} bytes`)
      if (all.length < 5 + length) return
      this.#keep(all.subarray(5 + length))
      yield { type: all[4]!, body: all.subarray(5, 5 + length) }
    }
  }

  #joined(): Buffer {
    const all = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending)
    this.#pending = [all]
    return all
  }

  #keep(rest: Buffer): void {
    this.#pending = rest.length > 0 ? [rest] : []
    this.#bytes = rest.length
  }
}

export function encodeFrame(type: number, body: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32LE(body.length, 0)
  head[4] = type
  return Buffer.concat([head, body])
}

export interface GuestLimits {
  memoryBytes?: number
  pids?: number
  cpus?: number
}

export interface GuestConfig {
  user: number
  clockMs: number
  diskBytes: number
  tmpBytes: number
  maxRuntimeMs: number
  limits: GuestLimits
  imageType: string
  argv: string[]
  environment: string[]
  secrets: Record<string, Uint8Array>
}

export function encodeLimits(limits: GuestLimits): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64LE(BigInt(limits.memoryBytes ?? 0), 0)
  bytes.writeUInt32LE(Math.min(limits.pids ?? 0, 2 ** 22), 8)
  // The kernel refuses less than a hundredth of a core.
  const milli = limits.cpus === undefined ? 0 : Math.max(10, Math.round(limits.cpus * 1000))
  bytes.writeUInt32LE(milli, 12)
  return bytes
}

export function encodeConfig(config: GuestConfig): Buffer {
  const head = Buffer.alloc(80)
  head.writeUInt32LE(PROTOCOL_VERSION, 0)
  head.writeUInt32LE(config.user, 4)
  head.writeBigUInt64LE(BigInt(Math.round(config.clockMs)) * 1_000_000n, 8)
  head.writeBigUInt64LE(BigInt(config.diskBytes), 16)
  head.writeBigUInt64LE(BigInt(config.tmpBytes), 24)
  head.writeBigUInt64LE(BigInt(Math.ceil(config.maxRuntimeMs)), 32)
  encodeLimits(config.limits).copy(head, 40)
  head.writeUInt32LE(config.argv.length, 56)
  head.writeUInt32LE(config.environment.length, 60)
  head.writeUInt32LE(Object.keys(config.secrets).length, 64)
  head.write(config.imageType, 68, 12, 'latin1')
  const parts: Uint8Array[] = [head]
  for (const text of [...config.argv, ...config.environment]) parts.push(Buffer.from(`${text}\0`))
  for (const [name, bytes] of Object.entries(config.secrets)) {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(bytes.length)
    parts.push(Buffer.from(`${name}\0`), length, bytes)
  }
  return Buffer.concat(parts)
}

/** What the guest says that the task uses. */
export interface GuestStatus {
  memoryBytes: number
  memoryPeakBytes: number
  diskBytes: number
  pids: number
  oomKills: number
}

export const ENDS = ['exited', 'max-runtime', 'disk', 'stopped'] as const

export interface GuestEnd {
  code: number | undefined
  signal: number | undefined
  reason: (typeof ENDS)[number]
  status: GuestStatus
}

export function decodeStatus(body: Buffer): GuestStatus {
  expectLength(body, 40, 'status')
  return {
    memoryBytes: numberAt(body, 0),
    memoryPeakBytes: numberAt(body, 8),
    diskBytes: numberAt(body, 16),
    pids: body.readUInt32LE(32),
    oomKills: body.readUInt32LE(36),
  }
}

export function decodeEnd(body: Buffer): GuestEnd {
  expectLength(body, 60, 'end')
  const code = body.readInt32LE(0)
  const signal = body.readInt32LE(4)
  const reason = ENDS[body.readUInt32LE(8)]
  if (reason === undefined || code > 255 || signal < 0 || signal > 64) {
    throw new GuestFault('an end that is none')
  }
  return {
    code: code >= 0 ? code : undefined,
    signal: signal > 0 ? signal : undefined,
    reason,
    status: decodeStatus(body.subarray(20)),
  }
}

export function decodeOutFile(body: Buffer): { size: number; executable: boolean; path: Buffer } {
  if (body.length < 12) throw new GuestFault('a file without a size')
  const executable = (body.readUInt32LE(8) & 0o111) !== 0
  return { size: numberAt(body, 0), executable, path: body.subarray(12) }
}

/** A guest's number as ours: what is no safe integer is certainly no true one either. */
export function numberAt(body: Buffer, offset: number): number {
  const value = body.readBigUInt64LE(offset)
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value)
}

export function expectLength(body: Buffer, length: number, what: string): void {
  if (body.length !== length) throw new GuestFault(`a ${what} of ${body.length} bytes`)
}
