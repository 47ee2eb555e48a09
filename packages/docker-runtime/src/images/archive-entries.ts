import { ManyhandsError } from '@manyhands/core'
import type { TarHeader } from './tar-header.ts'
import { type TarEvent, type TarLimits, TarScanner } from './tar-scanner.ts'

/** One entry of an archive, while it passes by. */
export interface ArchiveEntry extends TarHeader {
  /** Its bytes, once; what is not read is passed over. A piece is valid until the next one. */
  body: AsyncIterable<Uint8Array>
}

/**
 * The entries of an archive that comes from an engine, in order. Names are relative and plain: nothing
 * is ever written under one, but a name that climbs says that the archive is not what it should be.
 *
 * @throws IMAGE_INVALID, also when the archive ends too early
 */
export async function* archiveEntries(
  archive: AsyncIterable<Uint8Array>,
  limits: TarLimits,
): AsyncGenerator<ArchiveEntry> {
  const scanner = new TarScanner(limits)
  const events = eventsOf(archive, scanner)
  try {
    let next = await events.next()
    while (!next.done) {
      const event = next.value
      if (event.kind === 'entry') {
        checkName(event.entry, limits.what)
        const body = bodyOf(events)
        yield { ...event.entry, body }
        for await (const rest of body) void rest
      }
      next = await events.next()
    }
  } finally {
    await events.return(undefined)
  }
}

async function* eventsOf(
  archive: AsyncIterable<Uint8Array>,
  scanner: TarScanner,
): AsyncGenerator<TarEvent, undefined> {
  for await (const chunk of archive) yield* scanner.push(chunk)
  scanner.finish()
}

/** Ends with the entry; begun again it goes on where it was left. */
function bodyOf(events: AsyncGenerator<TarEvent>): AsyncIterable<Uint8Array> {
  let over = false
  return {
    async *[Symbol.asyncIterator]() {
      while (!over) {
        const { value, done } = await events.next()
        if (done || value.kind === 'end') over = true
        else if (value.kind === 'body') yield value.bytes
      }
    },
  }
}

function checkName({ name, type }: TarHeader, what: string): void {
  const plain = type === 'directory' ? name.replace(/\/$/, '') : name
  const sound =
    plain.length <= 255 && plain.split('/').every((part) => !['', '.', '..'].includes(part))
  // A directory of its own for the whole archive is written by some engines.
  if (sound || (type === 'directory' && (plain === '.' || plain === ''))) return
  throw new ManyhandsError(
    'IMAGE_INVALID',
    `${what} has an entry ${JSON.stringify(name.slice(0, 80))}`,
  )
}
