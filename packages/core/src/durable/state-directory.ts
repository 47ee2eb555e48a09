import { randomBytes } from 'node:crypto'
import { chmod, link, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ManyhandsError } from '../errors.ts'

/** Where one host or client keeps what outlives it; or, without a path, what lives as long as it does. */
export interface StateDirectory {
  readonly dir: string
  /** False: a temporary directory, removed by {@link close}. */
  readonly persistent: boolean
  /** Seed of this peer's identity, 32 bytes, made on first use. */
  readonly identitySeed: Uint8Array
  close(): Promise<void>
}

/**
 * Opens a state directory (mode 0700), creating it.
 *
 * @throws CONFIG_INVALID when it cannot be made or read, STATE_CORRUPT when the identity is not one
 */
export async function openStateDirectory(path: string | undefined): Promise<StateDirectory> {
  if (path === undefined) {
    const dir = await mkdtemp(join(tmpdir(), 'manyhands-'))
    return {
      dir,
      persistent: false,
      identitySeed: randomBytes(32),
      close: () => rm(dir, { recursive: true, force: true }),
    }
  }
  const dir = resolve(path)
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await chmod(dir, 0o700)
  } catch (cause) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `state directory ${dir} cannot be used: ${(cause as Error).message}`,
      { cause, hint: 'Name a directory that this user may write to.' },
    )
  }
  return { dir, persistent: true, identitySeed: await readIdentity(dir), close: async () => {} }
}

async function readIdentity(dir: string): Promise<Uint8Array> {
  const path = join(dir, 'identity.key')
  try {
    const fresh = `${path}.${process.pid}`
    await writeFile(fresh, randomBytes(32).toString('hex'), { mode: 0o600 })
    // A link never replaces: of two processes that start at once, both use the first one's identity.
    await link(fresh, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    await rm(fresh)
    const seed = Buffer.from((await readFile(path, 'utf8')).trim(), 'hex')
    if (seed.length !== 32) {
      throw new ManyhandsError('STATE_CORRUPT', `${path} does not hold an identity`)
    }
    return new Uint8Array(seed)
  } catch (cause) {
    if (cause instanceof ManyhandsError) throw cause
    throw new ManyhandsError('CONFIG_INVALID', `${path}: ${(cause as Error).message}`, { cause })
  }
}
