import type { AttemptEvent } from '@manyhands/core'

/** A piece of what an attempt wrote; with `gap` and no text: so many bytes of the stream are lost here. */
export interface LogPiece {
  stream: 'stdout' | 'stderr'
  text: string
  /** Bytes of the stream up to the end of this piece. */
  upTo: number
  gap?: number
}

/** Makes text of what one attempt writes, and notices what of it was lost on the way. */
export class AttemptLog {
  readonly #streams = { stdout: new StreamText(), stderr: new StreamText() }
  #seq: number | undefined

  /** Pieces of both streams. An event that comes a second time has none. */
  take(event: AttemptEvent): LogPiece[] {
    if (event.seq === this.#seq) return []
    this.#seq = event.seq
    const more = event.end === undefined
    return (['stdout', 'stderr'] as const).flatMap((stream) =>
      this.#streams[stream]
        .take(event[stream], event[`${stream}At`], more)
        .map((piece) => ({ stream, ...piece })),
    )
  }
}

class StreamText {
  #upTo = 0
  /** Made when there is something to decode: most tasks write nothing. */
  #decoder: InstanceType<typeof TextDecoder> | undefined

  take(bytes: Uint8Array | undefined, at: number | undefined, more: boolean) {
    const pieces: Omit<LogPiece, 'stream'>[] = []
    const gap = (at ?? this.#upTo) - this.#upTo
    if (gap > 0) {
      this.#decoder = undefined
      pieces.push({ text: '', gap, upTo: at! })
    }
    // Less than before: a host that was started again counts from there.
    this.#upTo = (at ?? this.#upTo) + (bytes?.length ?? 0)
    const silent = bytes === undefined || bytes.length === 0
    if (silent && this.#decoder === undefined) return pieces
    this.#decoder ??= new TextDecoder()
    const text = this.#decoder.decode(bytes, { stream: more })
    if (text !== '') pieces.push({ text, upTo: this.#upTo })
    return pieces
  }
}
