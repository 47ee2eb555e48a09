/** Bytes a second of one task's output that are read: far more than logs are, far less than floods. */
const BYTES_PER_TURN = 512 * 1024
const TURN_MS = 125

/**
 * Reads a stream, at most 4 MiB a second: a task that floods its output is slowed down to that, instead
 * of having the engine and the host copy it as fast as it writes. Nothing is lost here.
 */
export function readPaced(stream: NodeJS.ReadableStream, sink: (bytes: Buffer) => void): void {
  let turn = performance.now()
  let bytesInTurn = 0
  stream.on('data', (bytes: Buffer) => {
    sink(bytes)
    const now = performance.now()
    if (now - turn >= TURN_MS) {
      turn = now
      bytesInTurn = 0
    }
    bytesInTurn += bytes.length
    if (bytesInTurn < BYTES_PER_TURN) return
    stream.pause()
    setTimeout(() => stream.resume(), turn + TURN_MS - now).unref()
  })
}
