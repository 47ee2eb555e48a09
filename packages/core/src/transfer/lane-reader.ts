import { closeSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { readFully } from '../artifacts/hash-file.ts'
import { openRegular, openRegularNow } from '../artifacts/open-regular.ts'
import { ManyhandsError } from '../errors.ts'
import type { LocatedFile } from './lane-messages.ts'
import { OpenFiles } from './open-files.ts'

/** The files that a lane sends. A few that were used last stay open. */
export interface LaneReader {
  /** Opens a file, so that it can be read under whatever name. @throws INPUT_CHANGED, ARTIFACT_MISSING */
  open(file: LocatedFile): unknown
  /** Fills `into`. @throws INPUT_CHANGED, ARTIFACT_MISSING */
  read(file: LocatedFile, position: number, into: Uint8Array): void | Promise<void>
  close(): Promise<void>
}

/** Waits on the thread. */
export function blockingReader(): LaneReader {
  const files = new OpenFiles<number>(closeSync)
  const fdOf = (file: LocatedFile) => files.get(file.path, () => openNow(file))
  return {
    open: fdOf,
    read: (file, position, into) => {
      const fd = fdOf(file)
      for (let done = 0; done < into.length; ) {
        const read = readSync(fd, into, done, into.length - done, position + done)
        if (read === 0) throw new ManyhandsError('INPUT_CHANGED', `${file.path}: became shorter`)
        done += read
      }
    },
    close: async () => files.close(),
  }
}

/** Leaves the waiting to the thread pool. */
export function pooledReader(): LaneReader {
  const closing = new Set<Promise<unknown>>()
  const files = new OpenFiles<Promise<FileHandle>>((opening) => {
    const closed = opening.then((handle) => handle.close()).catch(() => undefined)
    closing.add(closed)
    void closed.finally(() => closing.delete(closed))
  })
  const handleOf = (file: LocatedFile) =>
    files.get(file.path, () => {
      const opening = openLater(file)
      opening.catch(() => files.forget(file.path))
      return opening
    })
  return {
    open: handleOf,
    read: async (file, position, into) => readFully(await handleOf(file), into, position),
    close: async () => {
      files.close()
      await Promise.all(closing)
    },
  }
}

function openNow({ path, seen }: LocatedFile): number {
  if (seen === undefined) {
    try {
      return openSync(path, 'r')
    } catch (cause) {
      throw gone(cause)
    }
  }
  const { fd, now } = openRegularNow(path, seen, 'INPUT_CHANGED')
  if (isSame(now, seen)) return fd
  closeSync(fd)
  throw changed(path)
}

async function openLater({ path, seen }: LocatedFile): Promise<FileHandle> {
  if (seen === undefined) {
    return open(path, 'r').catch((cause) => {
      throw gone(cause)
    })
  }
  const handle = await openRegular(path, seen, 'INPUT_CHANGED')
  if (isSame(await handle.stat({ bigint: true }), seen)) return handle
  await handle.close()
  throw changed(path)
}

type Look = Pick<NonNullable<LocatedFile['seen']>, 'size' | 'mtimeNs'>

function isSame(now: Look, seen: Look): boolean {
  return now.size === seen.size && now.mtimeNs === seen.mtimeNs
}

function gone(cause: unknown): ManyhandsError {
  return new ManyhandsError('ARTIFACT_MISSING', 'its bytes are gone from this store', { cause })
}

function changed(path: string): ManyhandsError {
  return new ManyhandsError('INPUT_CHANGED', `${path}: changed since it was taken as an input`)
}
