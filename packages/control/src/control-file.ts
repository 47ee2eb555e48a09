import { randomBytes } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { ManyhandsError, toManyhandsError } from '@manyhands/core'

/** Where a running host is reached and the secret that proves that the caller owns it. */
export interface ControlDocument {
  /** `http://127.0.0.1:PORT` */
  url: string
  /** Bearer token. */
  token: string
  pid: number
  peerId: string
  version: string
  /** Public key of the private network that it lends in. */
  network?: string
}

/**
 * Writes a control document so that only its owner can read it. A reader sees the old document or the
 * new one, never a part.
 */
export async function writeControlFile(path: string, document: ControlDocument): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    // 'wx' and the mode at creation: the token is never, not for an instant, readable by others.
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(document, undefined, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw toManyhandsError(error, 'CONFIG_INVALID')
  }
}

/**
 * The document of a running (or crashed) host; undefined when there is none.
 *
 * @throws STATE_CORRUPT when the file is not a control document
 */
export async function readControlFile(path: string): Promise<ControlDocument | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new ManyhandsError('CONFIG_INVALID', `cannot read ${path}: ${(error as Error).message}`, {
      hint: 'Run as the user who runs the host.',
      cause: error,
    })
  }
  const document = parse(text)
  if (document === undefined) {
    throw new ManyhandsError('STATE_CORRUPT', `${path} is not a control document`, {
      hint: 'Restart the host; it writes the file anew.',
    })
  }
  return document
}

/** Removes the file when it is still the one of this process: a newer host may have replaced it. */
export async function removeControlFile(path: string, token: string): Promise<void> {
  const document = await readControlFile(path).catch(() => undefined)
  if (document?.token === token) await rm(path, { force: true })
}

function parse(text: string): ControlDocument | undefined {
  let value: Partial<Record<keyof ControlDocument, unknown>> | null
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { url, token, pid, peerId, version, network } = value ?? {}
  return typeof url === 'string' &&
    typeof token === 'string' &&
    typeof pid === 'number' &&
    typeof peerId === 'string' &&
    typeof version === 'string'
    ? {
        ...{ url, token, pid, peerId, version },
        ...(typeof network === 'string' ? { network } : {}),
      }
    : undefined
}
