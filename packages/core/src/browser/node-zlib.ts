import { deflateSync, Inflate, Unzlib } from 'fflate'

// What stands for node:zlib in a browser: what owner keys and the comparison of images are packed with.

interface InflateOptions {
  /** It fails beyond, before it has taken more memory. */
  maxOutputLength?: number
}

class ZlibError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export function deflateRawSync(bytes: Uint8Array, { level = 6 }: { level?: number } = {}): Buffer {
  return Buffer.from(deflateSync(bytes, { level: level as 6 }))
}

export function inflateRawSync(bytes: Uint8Array, options?: InflateOptions): Buffer {
  return unpack(new Inflate(), bytes, options)
}

export function inflateSync(bytes: Uint8Array, options?: InflateOptions): Buffer {
  return unpack(new Unzlib(), bytes, options)
}

export function inflate(
  bytes: Uint8Array,
  options: InflateOptions,
  done: (error: Error | null, bytes?: Buffer) => void,
): void {
  try {
    done(null, inflateSync(bytes, options))
  } catch (error) {
    done(error as Error)
  }
}

/** Packed bytes that are given at once: what comes of them is bounded in between. */
const STEP_BYTES = 16 * 1024

function unpack(
  stream: Inflate | Unzlib,
  bytes: Uint8Array,
  { maxOutputLength = Number.POSITIVE_INFINITY }: InflateOptions = {},
): Buffer {
  const parts: Uint8Array[] = []
  let length = 0
  let ended = false
  stream.ondata = (part, final) => {
    length += part.length
    ended ||= final
    if (length <= maxOutputLength) parts.push(part)
  }
  try {
    for (let at = 0; at < bytes.length && length <= maxOutputLength; at += STEP_BYTES) {
      stream.push(bytes.subarray(at, at + STEP_BYTES), at + STEP_BYTES >= bytes.length)
    }
  } catch (cause) {
    throw new ZlibError('Z_DATA_ERROR', (cause as Error).message)
  }
  if (length > maxOutputLength) {
    throw new ZlibError('ERR_BUFFER_TOO_LARGE', `more than ${maxOutputLength} bytes come of it`)
  }
  if (!ended) throw new ZlibError('Z_BUF_ERROR', 'unexpected end of file')
  return Buffer.concat(parts)
}
