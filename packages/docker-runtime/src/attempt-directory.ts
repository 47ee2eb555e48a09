import {
  chmod,
  copyFile,
  link,
  mkdir,
  readdir,
  rm,
  rmdir,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type EndRecord, readEndRecord } from './init/end-record.ts'
import { removeSecrets, secretsRoot, sweepSecrets, writeSecrets } from './secret-files.ts'

/** Of the container's name: the hash of host instance and attempt. */
const NAME = /^\/?manyhands-([0-9a-f]{24})-/

/**
 * The host's side of `/.manyhands` in a container: its first process, the file for how it ended, and
 * the sockets between the two. The container sees it read-only, but for the one file.
 */
export class AttemptDirectory {
  readonly path: string
  /** Where its secrets are, in memory and apart. */
  readonly secretsPath: string

  constructor(path: string, secretsPath: string) {
    this.path = path
    this.secretsPath = secretsPath
  }

  /** What the container's first process writes to; mounted over itself, writable. */
  get endFile(): string {
    return join(this.path, 'end')
  }

  /**
   * Makes it afresh, unless it belongs to a container: nothing of an earlier try is believed.
   *
   * @returns whether it was made
   */
  async create(initProgram: string, hasContainer: () => Promise<boolean>): Promise<boolean> {
    const made = await mkdir(this.path, { mode: 0o755 }).then(
      () => true,
      () => false,
    )
    if (!made) {
      if (await hasContainer()) return false
      await this.remove()
      await mkdir(this.path, { mode: 0o755 })
    }
    await chmod(this.path, 0o755)
    const init = join(this.path, 'init')
    await link(initProgram, init).catch(() => copyFile(initProgram, init))
    await writeFile(this.endFile, '', { flag: 'wx' })
    // The directory above is the host's alone; in a container it may be reached by a mapped user id.
    await chmod(this.endFile, 0o666)
    return true
  }

  record(): EndRecord | undefined {
    return readEndRecord(this.endFile)
  }

  /** Makes the files that the container sees at /run/secrets. */
  async writeSecrets(
    secrets: Record<string, Uint8Array>,
    user: { uid: number; gid: number },
  ): Promise<void> {
    await writeSecrets(dirname(this.secretsPath), basename(this.secretsPath), secrets, user)
  }

  async remove(): Promise<void> {
    await removeSecrets(this.secretsPath)
    // Nearly always this is all there is, and much cheaper than a walk.
    await Promise.all(['init', 'end'].map((name) => unlink(join(this.path, name)).catch(() => {})))
    await rmdir(this.path).catch(() => rm(this.path, { recursive: true, force: true }))
  }
}

/** All attempts' directories of one runtime, by the containers' names. */
export class AttemptDirectories {
  readonly #root: string
  readonly #secretsRoot: string
  /** Hashes that this process has to do with; undefined once the others were swept. */
  #known: Set<string> | undefined = new Set()

  constructor(stateDir: string, hostInstance: string) {
    this.#root = join(stateDir, 'containers')
    this.#secretsRoot = secretsRoot(hostInstance)
  }

  /** Undefined for a name that no container of ours has. */
  of(containerName: string): AttemptDirectory | undefined {
    const hash = NAME.exec(containerName)?.[1]
    if (hash === undefined) return undefined
    this.#known?.add(hash)
    return new AttemptDirectory(join(this.#root, hash), join(this.#secretsRoot, hash))
  }

  /** Keeps other users of this computer out of all of them. */
  async open(): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 })
  }

  /** Once: removes those whose containers are gone, which an earlier process left. */
  async sweep(containerNames: string[]): Promise<void> {
    const known = this.#known
    if (known === undefined) return
    const named = new Set(containerNames.map((name) => NAME.exec(name)?.[1]))
    const present = await readdir(this.#root).catch(() => [])
    for (const hash of present) {
      // Looked up now: a start may have begun while we read.
      if (named.has(hash) || known.has(hash)) continue
      await rm(join(this.#root, hash), { recursive: true, force: true }).catch(() => {})
    }
    await sweepSecrets(this.#secretsRoot, (hash) => named.has(hash) || known.has(hash))
    this.#known = undefined
  }
}
