import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  opendirSync,
  openSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { platform } from 'node:process'
import { WalkPace } from '../walk-pace.ts'
import { createGlobs, type Globs } from './glob.ts'
import { unsafePathReason } from './safe-path.ts'

/** A plain file of a tree that a task is writing to, as it was when it was looked at. */
export interface LiveFile {
  /** Relative POSIX path. */
  path: string
  ino: bigint
  size: number
  mtimeNs: bigint
  ctimeNs: bigint
  executable: boolean
}

/**
 * A directory that a task writes to while we look at it. The task may swap anything in it for anything
 * else at any moment: every step goes from an open directory to a name in it, never through a path, and
 * no link is followed; what is no plain file of this file system with one name is passed by, unopened.
 */
export interface LiveTree {
  /** The plain files that the globs take; `whole` is false when there is more than was looked at. */
  files(options: {
    maxEntries: number
    signal?: AbortSignal
  }): Promise<{ files: LiveFile[]; whole: boolean }>
  /** Opens a file for reading if it is exactly what was seen; otherwise, whatever it is, undefined. */
  open(file: LiveFile): Promise<FileHandle | undefined>
}

/** Levels of directories that are entered; each costs a descriptor while what is below is looked at. */
const LEVELS = 32
/** Of a core, in the first 2 s of a look and after that. */
const DUTY = { first: 0.1, late: 0.2 }

const DIRECTORY =
  constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** Linux: names a file without opening it, so that no pipe blocks and no device is touched. */
const O_PATH = 0o10000000
const NAMED = O_PATH | constants.O_NOFOLLOW
const FILE = constants.O_RDONLY | constants.O_NONBLOCK

/** Whether this system has what a look without races needs. */
export const liveTreesSupported = platform === 'linux'

/**
 * @param dir - a directory whose parents belong to us
 * @param globs - relative to `dir`, as for ArtifactStore.collect
 */
export function openLiveTree(dir: string, globs: string[]): LiveTree {
  return new ProcLiveTree(dir, createGlobs(globs))
}

interface Look {
  /** The file system that everything has to be on. */
  dev: bigint
  files: LiveFile[]
  entriesLeft: number
  pace: WalkPace
  /** When others had their turn last. */
  turnAt: number
  signal: AbortSignal | undefined
}

/** Globs that were made to be slow hold nobody up for longer. */
const TURN_MS = 10

function turnWhenDue(look: Look): Promise<void> | undefined {
  if (performance.now() - look.turnAt < TURN_MS) return undefined
  return new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
    look.turnAt = performance.now()
  })
}

class ProcLiveTree implements LiveTree {
  readonly #dir: string
  readonly #globs: Globs

  constructor(dir: string, globs: Globs) {
    this.#dir = dir
    this.#globs = globs
  }

  async files(options: { maxEntries: number; signal?: AbortSignal }) {
    const files: LiveFile[] = []
    const root = openSync(this.#dir, DIRECTORY)
    try {
      const { dev } = fstatSync(root, { bigint: true })
      const { maxEntries: entriesLeft, signal } = options
      const pace = new WalkPace(DUTY)
      const look: Look = { dev, files, entriesLeft, signal, pace, turnAt: performance.now() }
      await this.#look(root, '', LEVELS, look)
      return { files, whole: look.entriesLeft >= 0 }
    } finally {
      closeSync(root)
    }
  }

  async open(file: LiveFile): Promise<FileHandle | undefined> {
    const opened: number[] = []
    try {
      const root = openSync(this.#dir, DIRECTORY)
      opened.push(root)
      const { dev } = fstatSync(root, { bigint: true })
      const names = file.path.split('/')
      for (const [index, name] of names.entries()) {
        const flags = index === names.length - 1 ? NAMED : DIRECTORY
        opened.push(openSync(below(opened.at(-1)!, name), flags))
      }
      const named = opened.at(-1)!
      const found = describe(fstatSync(named, { bigint: true }), file.path, dev)
      if (found === undefined || !sameFile(found, file)) return undefined
      // Not the name again, which may be a link by now: what was just looked at.
      return await open(itself(named), FILE)
    } catch {
      // Gone, replaced, or not ours to read: there is nothing to be had here now.
      return undefined
    } finally {
      for (const fd of opened) closeSync(fd)
    }
  }

  async #look(fd: number, directory: string, levels: number, look: Look): Promise<void> {
    const entries = opendirSync(itself(fd))
    try {
      for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
        look.entriesLeft -= 1
        if (look.entriesLeft < 0) return
        const rest = look.pace.step() ?? turnWhenDue(look)
        if (rest !== undefined) await rest
        look.signal?.throwIfAborted()
        const path = directory === '' ? entry.name : `${directory}/${entry.name}`
        if (entry.isDirectory()) {
          const wanted = levels > 0 && (this.#globs.takes(path) || this.#globs.reaches(path))
          if (!wanted || unsafePathReason(path) !== undefined) continue
          await this.#enter(fd, entry.name, path, levels - 1, look)
        } else if (entry.isFile() && this.#globs.takes(path)) {
          if (unsafePathReason(path) !== undefined) continue
          const found = lstatSync(below(fd, entry.name), { bigint: true, throwIfNoEntry: false })
          const file = found && describe(found, path, look.dev)
          if (file !== undefined) look.files.push(file)
        }
      }
    } finally {
      entries.closeSync()
    }
  }

  async #enter(parent: number, name: string, path: string, levels: number, look: Look) {
    let fd: number
    try {
      fd = openSync(below(parent, name), DIRECTORY)
    } catch {
      // No directory any more, or a link in its place.
      return
    }
    try {
      if (fstatSync(fd, { bigint: true }).dev === look.dev) await this.#look(fd, path, levels, look)
    } finally {
      closeSync(fd)
    }
  }
}

/** Whether nothing was done to a file between two looks. */
export function sameFile(a: LiveFile, b: LiveFile): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs
}

const itself = (fd: number) => `/proc/self/fd/${fd}`
const below = (fd: number, name: string) => `${itself(fd)}/${name}`

function describe(stat: BigIntStats, path: string, dev: bigint): LiveFile | undefined {
  // A second name could be outside of the tree, where we do not look.
  if (!stat.isFile() || stat.nlink !== 1n || stat.dev !== dev) return undefined
  const { ino, mtimeNs, ctimeNs } = stat
  const executable = (stat.mode & 0o111n) !== 0n
  return { path, ino, size: Number(stat.size), mtimeNs, ctimeNs, executable }
}
