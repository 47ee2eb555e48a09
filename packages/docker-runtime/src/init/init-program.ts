import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { ManyhandsError } from '@manyhands/core'
import { INIT_BINARIES } from './init-binaries.ts'

/** Where a container finds its attempt's directory, read-only; the program has the same path inside. */
export const INIT_DIRECTORY = '/.manyhands'
const INIT_PATH = `${INIT_DIRECTORY}/init`
/** The longest that the program counts, ms: beyond it, a number of another size would be needed. */
const MAX_RUNTIME_MAX_MS = 1e15

/** Docker tells the kernel's name of an architecture, Podman the compilers'. */
const KERNEL_NAMES = new Map([
  ['x86_64', 'amd64'],
  ['aarch64', 'arm64'],
])

/** What the first process of a container is asked to do. */
export interface InitOrder {
  maxRuntimeMs: number
  /** The program's working directory inside. */
  directory: string
  /** Listen on 127.0.0.1:3128 and carry each connection to the host's proxy. */
  egress: boolean
  /** Let the host reach loopback ports. */
  dial: boolean
  /** Programs one after another, as the host says over a socket, instead of the one in its argv. */
  warm?: boolean
}

/** The argv that comes before the program's own. */
export function initArgv(order: InitOrder): string[] {
  const ms = Math.ceil(Math.min(Math.max(0, order.maxRuntimeMs), MAX_RUNTIME_MAX_MS))
  const services = `${order.egress ? 'e' : ''}${order.dial ? 'd' : ''}` || '-'
  if (order.warm) return [INIT_PATH, 'warm', '0', order.directory, services, '--']
  return [INIT_PATH, 'run', String(ms), order.directory, services, '--']
}

/** The argv of a program that connects its stdin and stdout to a loopback port inside. */
export function initDialArgv(port: number): string[] {
  return [INIT_PATH, 'dial', String(port)]
}

/**
 * Puts the first process for an engine's architecture into a directory and answers its path. A file
 * that is there already is used when it has the right bytes, and replaced whole when it has not.
 *
 * @param architecture - as engines name it: `amd64` or `x86_64`, `arm64` or `aarch64`
 * @throws RUNTIME_UNAVAILABLE when there is no such program
 */
export async function installInit(directory: string, architecture: string): Promise<string> {
  const name = KERNEL_NAMES.get(architecture) ?? architecture
  const binary = Object.hasOwn(INIT_BINARIES, name)
    ? INIT_BINARIES[name as keyof typeof INIT_BINARIES]
    : undefined
  if (binary === undefined) {
    throw new ManyhandsError(
      'RUNTIME_UNAVAILABLE',
      `docker: engines of the architecture ${architecture.slice(0, 40)} are not supported`,
      { hint: `Use an engine of ${Object.keys(INIT_BINARIES).join(' or ')}.` },
    )
  }
  const path = join(directory, `init-${binary.sha256.slice(0, 16)}`)
  const present = await readFile(path).catch(() => undefined)
  if (present !== undefined && sha256(present) === binary.sha256) return path
  const bytes = gunzipSync(Buffer.from(binary.gzip, 'base64'), { maxOutputLength: binary.bytes })
  if (sha256(bytes) !== binary.sha256) {
    throw new ManyhandsError('INTERNAL', 'docker: the embedded first process is damaged')
  }
  await mkdir(directory, { recursive: true })
  const temporary = `${path}.${randomUUID()}`
  try {
    await writeFile(temporary, bytes, { mode: 0o755, flag: 'wx', flush: true })
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
  return path
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
