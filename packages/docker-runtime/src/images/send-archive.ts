import { Readable } from 'node:stream'
import { ManyhandsError } from '@manyhands/core'
import type { Engine } from '../engine.ts'
import { engineError, engineMessage, engineStatus } from '../engine-error.ts'

const ANSWER_CHARACTERS = 16_384

/**
 * Gives an archive of images to the engine and reads what it says about it. When the archive ends in a
 * failure of its own, the engine sees it cut and loads nothing.
 *
 * @throws what the archive throws; RUNTIME_FAILED when the engine refuses it, DISK_FULL,
 *   RUNTIME_UNAVAILABLE, the signal's reason
 */
export async function sendArchive(
  engine: Engine,
  archive: AsyncGenerator<Uint8Array>,
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const stream = Readable.from(archive, { objectMode: false, highWaterMark: 1024 * 1024 })
  const onAbort = () => stream.destroy(signal!.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  let failure: unknown
  stream.on('error', (error) => {
    failure = error
  })
  try {
    const options = { quiet: true, ...(signal === undefined ? {} : { abortSignal: signal }) }
    const loading = engine.docker.loadImage(stream as never, options as never) as unknown
    const answer = await (loading as Promise<Readable>)
    let said = ''
    for await (const piece of answer) said = `${said}${piece}`.slice(-ANSWER_CHARACTERS)
    const refused = /"error":\s*"((?:[^"\\]|\\.)*)"/.exec(said)?.[1]
    if (refused !== undefined) throw loadError(`${what}: ${refused}`)
  } catch (error) {
    signal?.throwIfAborted()
    // Ours: the engine only saw that the archive ended too early.
    if (failure instanceof ManyhandsError) throw failure
    if (engineStatus(error) !== undefined) throw loadError(`${what}: ${engineMessage(error)}`)
    throw engineError(error, what)
  } finally {
    signal?.removeEventListener('abort', onAbort)
    stream.destroy()
  }
}

function loadError(message: string): ManyhandsError {
  const full = /no space left on device|disk quota exceeded/i.test(message)
  return new ManyhandsError(full ? 'DISK_FULL' : 'RUNTIME_FAILED', message)
}
