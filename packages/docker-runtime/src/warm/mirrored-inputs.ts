import type { Dirent } from 'node:fs'
import { chmod, copyFile, link, lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ManyhandsError } from '@manyhands/core'

/**
 * What a warm container has at /in: a directory of its own, which is made to hold what each task is given.
 * Files are further names of the staged ones; what stays the same from one task to the next is left alone.
 * The container sees it read-only, so nothing here can be led astray.
 */
export class MirroredInputs {
  readonly #directory: string
  #shown: string | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  /** @throws SPEC_INVALID when /in itself is a file: what is mounted cannot be replaced */
  async show(staged: string | undefined): Promise<void> {
    if (staged === this.#shown && staged !== undefined) return
    this.#shown = undefined
    if (staged !== undefined && !(await lstat(staged)).isDirectory()) {
      throw new ManyhandsError('SPEC_INVALID', 'a warm sandbox has no single file at /in', {
        hint: 'Put it at a path below /in.',
      })
    }
    await mirror(staged, this.#directory)
    this.#shown = staged
  }
}

async function mirror(from: string | undefined, to: string): Promise<void> {
  const wanted = from === undefined ? [] : await readdir(from, { withFileTypes: true })
  const kinds = new Map(wanted.map((entry) => [entry.name, entry.isDirectory()]))
  const present = new Set<string>()
  for (const entry of await readdir(to, { withFileTypes: true })) {
    const path = join(to, entry.name)
    if (await stays(entry, path, kinds.get(entry.name), from)) present.add(entry.name)
    else await rm(path, { recursive: true, force: true })
  }
  for (const { name } of wanted) {
    const [source, target] = [join(from!, name), join(to, name)]
    if (kinds.get(name)) {
      if (!present.has(name)) {
        await mkdir(target)
        await chmod(target, 0o755)
      }
      await mirror(source, target)
    } else if (!present.has(name)) {
      await link(source, target).catch(() => copyFile(source, target))
    }
  }
}

/** A directory that is to be one, a file that is the very same. */
async function stays(
  entry: Dirent,
  path: string,
  wantedAsDirectory: boolean | undefined,
  from: string | undefined,
): Promise<boolean> {
  if (from === undefined || wantedAsDirectory === undefined) return false
  if (entry.isDirectory() || wantedAsDirectory) return entry.isDirectory() && wantedAsDirectory
  const options = { bigint: true } as const
  const [a, b] = await Promise.all([lstat(path, options), lstat(join(from, entry.name), options)])
  return a.ino === b.ino && a.dev === b.dev
}
