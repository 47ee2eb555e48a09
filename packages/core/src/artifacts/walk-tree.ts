import type { BigIntStats, Dir } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ErrorCode } from '../error-table.ts'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { unsafePathReason } from './safe-path.ts'

/** A plain file, or a directory with nothing in it. */
export interface WalkedEntry {
  kind: 'file' | 'directory'
  /** Relative to the walked directory, with `/`. */
  path: string
  absolute: string
  stat: BigIntStats
}

export interface WalkOptions {
  /** What a link, a special file or a name that does not travel is refused with. */
  refusal: ErrorCode
  /** Whether an entry is wanted; default all. Others are passed by, whatever they are. */
  takes?: (path: string) => boolean
  /** Whether something below a directory may be wanted; default yes. */
  reaches?: (path: string) => boolean
  /** Default `LIMITS.entriesPerArtifact`; counts every entry looked at. */
  maxEntries?: number
  signal?: AbortSignal
}

const LOOKED_AT_ONCE = 32

/**
 * Yields the plain files and the empty directories of a tree that somebody else wrote. Nothing is
 * followed or opened: what lstat does not call a file or a directory is refused, a directory that is
 * swapped while it is listed is refused, and the number of entries is bounded.
 *
 * @throws the refusal, LIMIT, or the signal's reason
 */
export async function* walkTree(root: string, options: WalkOptions): AsyncGenerator<WalkedEntry> {
  const { refusal, takes = () => true, reaches = () => true, signal } = options
  const maxEntries = options.maxEntries ?? LIMITS.entriesPerArtifact
  const refuse = (path: string, reason: string): never => {
    throw new ManyhandsError(refusal, `${join(root, path)}: ${reason}`)
  }
  const top = await look(root, refusal)
  if (!top.isDirectory()) refuse('', 'is not a directory')
  const pending: { path: string; stat: BigIntStats }[] = [{ path: '', stat: top }]
  let looked = 0

  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path: directory, stat } = next
    const absolute = join(root, directory)
    let empty = true
    for await (const names of listDirectory(absolute, stat, refusal)) {
      signal?.throwIfAborted()
      empty = false
      looked += names.length
      if (looked > maxEntries) {
        throw new ManyhandsError('LIMIT', `${root}: more than ${maxEntries} entries`)
      }
      const stats = await Promise.all(names.map((name) => look(join(absolute, name), refusal)))
      for (const [index, name] of names.entries()) {
        const found = stats[index]!
        const path = directory === '' ? name : `${directory}/${name}`
        const wanted = found.isFile() ? takes(path) : takes(path) || reaches(path)
        if (!wanted) continue
        const reason = unsafePathReason(path)
        if (reason !== undefined) refuse(path, `this name cannot travel: ${reason}`)
        if (found.isDirectory()) pending.push({ path, stat: found })
        else if (found.isFile()) {
          yield { kind: 'file', path, absolute: join(root, path), stat: found }
        } else refuse(path, `is a ${found.isSymbolicLink() ? 'symbolic link' : 'special file'}`)
      }
    }
    if (empty && directory !== '' && takes(directory)) {
      yield { kind: 'directory', path: directory, absolute, stat }
    }
  }
}

/** Names in small lots, so that a directory of millions is refused before it fills the memory. */
async function* listDirectory(
  path: string,
  seen: BigIntStats,
  refusal: ErrorCode,
): AsyncGenerator<string[]> {
  let directory: Dir
  try {
    directory = await opendir(path, { bufferSize: LOOKED_AT_ONCE })
  } catch (error) {
    throw unreadable(path, refusal, error)
  }
  try {
    // opendir follows links; what is under the name after it was opened must be what was before.
    const now = await look(path, refusal)
    if (!now.isDirectory() || now.dev !== seen.dev || now.ino !== seen.ino) {
      throw new ManyhandsError(refusal, `${path}: was replaced while it was read`)
    }
    let names: string[] = []
    for (let entry = await directory.read(); entry !== null; entry = await directory.read()) {
      names.push(entry.name)
      if (names.length < LOOKED_AT_ONCE) continue
      yield names
      names = []
    }
    if (names.length > 0) yield names
  } finally {
    await directory.close()
  }
}

async function look(path: string, refusal: ErrorCode): Promise<BigIntStats> {
  try {
    return await lstat(path, { bigint: true })
  } catch (error) {
    throw unreadable(path, refusal, error)
  }
}

function unreadable(path: string, refusal: ErrorCode, cause: unknown): ManyhandsError {
  const code = refusal === 'PATH_UNSAFE' ? 'INPUT_UNREADABLE' : refusal
  const { code: errno } = cause as NodeJS.ErrnoException
  return new ManyhandsError(code, `${path}: cannot be read (${errno})`, { cause })
}
