import { randomBytes } from 'node:crypto'
import { constants, type FileHandle, link, lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ManyhandsError } from '../errors.ts'
import type { FileHasher } from '../hashing/file-hasher.ts'
import type { ArtifactContent } from './artifact-content.ts'
import { concurrently } from './concurrently.ts'
import { TRANSFER } from './transfer-limits.ts'

/**
 * Puts an artifact at a path. Nothing inside `target` is followed: a directory on the way that is a
 * link is refused, and what is in the way of a file is replaced by renaming, which does not write
 * through a link.
 */
export async function placeArtifact(
  content: ArtifactContent,
  target: string,
  mode: 'link' | 'copy',
  hasher: FileHasher,
): Promise<void> {
  const { manifest } = content.artifact
  if (manifest.kind === 'file') {
    await mkdir(dirname(target), { recursive: true })
    await placeFile(content, 0, target, mode, hasher)
    return
  }
  await mkdir(target, { recursive: true })
  const made = new Map<string, Promise<void>>()
  const ensure = (path: string): Promise<void> => {
    let done = made.get(path)
    if (done === undefined) {
      const parent = path.lastIndexOf('/')
      done = (parent < 0 ? Promise.resolve() : ensure(path.slice(0, parent))).then(() =>
        makeDirectory(join(target, path)),
      )
      made.set(path, done)
    }
    return done
  }
  for (const path of manifest.directories) await ensure(path)
  await concurrently(manifest.files.entries(), TRANSFER.filesAtOnce, async ([index, file]) => {
    const end = file.path.lastIndexOf('/')
    if (end >= 0) await ensure(file.path.slice(0, end))
    await placeFile(content, index, join(target, file.path), mode, hasher)
  })
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, 0o755)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (!(await lstat(path)).isDirectory()) {
      throw new ManyhandsError('PATH_UNSAFE', `${path}: is in the way and is not a directory`)
    }
  }
}

async function placeFile(
  content: ArtifactContent,
  index: number,
  path: string,
  mode: 'link' | 'copy',
  hasher: FileHasher,
): Promise<void> {
  const shared = mode === 'link' ? await linkable(content, index) : undefined
  // A link is whole from the start: where nothing is in the way, it needs no other name before.
  if (shared !== undefined && (await tryLink(shared, path)) === 'linked') return
  const temporary = join(dirname(path), `.${randomBytes(9).toString('hex')}.part`)
  try {
    if (shared === undefined || (await tryLink(shared, temporary)) !== 'linked') {
      await copyOut(content, index, temporary, mode, hasher)
    }
    await rename(temporary, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EISDIR' || code === 'ENOTEMPTY' || code === 'EEXIST') {
      throw new ManyhandsError('PATH_UNSAFE', `${path}: a directory is in the way`, {
        cause: error,
      })
    }
    throw error
  } finally {
    // Renaming a name onto another name of the same file leaves both.
    await rm(temporary, { force: true })
  }
}

/** The store's file, where it has one of its own. Its bytes are not read, but for their number. */
async function linkable(content: ArtifactContent, index: number): Promise<string | undefined> {
  const { root, manifest } = content.artifact
  const { path, size } = manifest.files[index]!
  try {
    const shared = await content.linkable(index)
    if (shared === undefined || (await lstat(shared)).size === size) return shared
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new ManyhandsError('ARTIFACT_MISSING', `${root}: its bytes are gone from this store`, {
      cause,
    })
  }
  throw new ManyhandsError('ARTIFACT_CORRUPT', `${root}: ${path || 'the file'} has another size`)
}

/**
 * `unable` where the file system is: another one, too many names, or none supported at all. `taken` when
 * something has the name, whatever it is.
 */
async function tryLink(from: string, to: string): Promise<'linked' | 'taken' | 'unable'> {
  try {
    await link(from, to)
    return 'linked'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return 'taken'
    if (code === 'EXDEV' || code === 'EMLINK' || code === 'EPERM' || code === 'ENOTSUP')
      return 'unable'
    throw error
  }
}

async function copyOut(
  content: ArtifactContent,
  index: number,
  temporary: string,
  mode: 'link' | 'copy',
  hasher: FileHasher,
): Promise<void> {
  const file = content.artifact.manifest.files[index]!
  const source: FileHandle = await content.open(index)
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
    const target = await open(temporary, flags, 0o600)
    try {
      if (!(await hasher.verify(source, file, { copyTo: target }))) {
        throw new ManyhandsError(
          'ARTIFACT_CORRUPT',
          `${content.artifact.root}: ${file.path || 'the file'} no longer has its bytes`,
        )
      }
      const bits = mode === 'copy' ? 0o644 : 0o444
      await target.chmod(file.executable ? bits | 0o111 : bits)
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}
