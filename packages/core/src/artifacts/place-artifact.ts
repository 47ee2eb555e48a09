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
 * link is refused, and a file is made beside its place and renamed into it, which replaces a link
 * instead of writing through it.
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
  const temporary = join(dirname(path), `.${randomBytes(9).toString('hex')}.part`)
  try {
    if (mode !== 'link' || !(await linkOut(content, index, temporary))) {
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

/** Shares the bytes with the store, where it has them. They are not read, but for their number. */
async function linkOut(
  content: ArtifactContent,
  index: number,
  temporary: string,
): Promise<boolean> {
  const { root, manifest } = content.artifact
  const { path, size } = manifest.files[index]!
  try {
    const shared = await content.linkable(index)
    if (shared === undefined || !(await tryLink(shared, temporary))) return false
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new ManyhandsError('ARTIFACT_MISSING', `${root}: its bytes are gone from this store`, {
      cause,
    })
  }
  if ((await lstat(temporary)).size === size) return true
  throw new ManyhandsError('ARTIFACT_CORRUPT', `${root}: ${path || 'the file'} has another size`)
}

/** False where the file system cannot: another one, too many names, or none supported at all. */
async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EXDEV' || code === 'EMLINK' || code === 'EPERM' || code === 'ENOTSUP')
      return false
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
