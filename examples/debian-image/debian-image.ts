/**
 * Images of Debian packages, made on this computer without any registry: Debian's own tools make a small
 * system, and packages go on top. The base is made once for all of them, and needs root.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const BASE_IMAGE = 'manyhands-example/bookworm:1'

const APT = 'apt-get -q -o Acquire::Retries=3'

/** What stands in the way, in words for people. */
export class SetupError extends Error {}

/** Whether an engine answers; `undefined` when it does, else why not and what to do. */
export async function engineTrouble(): Promise<string | undefined> {
  const { code, stderr } = await run('docker', ['version', '--format', '{{.Server.Version}}'])
  if (code === 0) return undefined
  if (code === 'missing') {
    return 'the docker command is missing; on Debian and Ubuntu: apt-get install docker.io'
  }
  return `no Docker engine answers (${lastLine(stderr)}); start it, for example: systemctl start docker`
}

/** Builds an image with these packages unless the engine has it. Resolves to whether it had to. */
export async function ensureDebianImage(
  { tag, packages }: { tag: string; packages: string[] },
  say: (line: string) => void,
): Promise<boolean> {
  const trouble = await engineTrouble()
  if (trouble !== undefined) throw new SetupError(trouble)
  if (await hasImage(tag)) {
    say(`image ${tag} exists`)
    return false
  }
  const began = performance.now()
  if (!(await hasImage(BASE_IMAGE))) await buildBase(say)
  say(`installing ${packages.join(', ')} into ${tag} (about a minute) …`)
  const dockerfile = `FROM ${BASE_IMAGE}
RUN ${APT} update && ${APT} install -y --no-install-recommends ${packages.join(' ')} && apt-get clean && rm -rf /var/lib/apt/lists/*
`
  // The classic builder: it is in every engine, while BuildKit's client part is a separate package.
  await need('docker', ['build', '--tag', tag, '-'], {
    input: dockerfile,
    env: { DOCKER_BUILDKIT: '0' },
  })
  say(`image ${tag} ready after ${seconds(began)}`)
  return true
}

/** For programs that build an image and nothing else: what stands in the way is said, and ends in code 1. */
export async function buildOnly(
  build: (say: (line: string) => void) => Promise<unknown>,
): Promise<void> {
  try {
    await build((line) => console.error(line))
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}

async function buildBase(say: (line: string) => void): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new SetupError(
      `building ${BASE_IMAGE} needs root (mmdebstrap makes a root file system); run it once with sudo`,
    )
  }
  if ((await run('mmdebstrap', ['--version'])).code === 'missing') {
    throw new SetupError('mmdebstrap is missing; on Debian and Ubuntu: apt-get install mmdebstrap')
  }
  say(`making a small Debian as ${BASE_IMAGE} (about half a minute) …`)
  const began = performance.now()
  const scratch = await mkdtemp(join(tmpdir(), 'manyhands-image-'))
  try {
    const archive = join(scratch, 'bookworm.tar')
    await need('mmdebstrap', [
      '--variant=apt',
      '--include=ca-certificates',
      'bookworm',
      archive,
      ...(await bookwormSources()),
    ])
    await need('docker', ['import', archive, BASE_IMAGE])
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
  say(`image ${BASE_IMAGE} made in ${seconds(began)}`)
}

/** The machine's own sources, so that its mirror is used; none on other systems: Debian's default. */
async function bookwormSources(): Promise<string[]> {
  const parts = '/etc/apt/sources.list.d'
  const names = (await readdir(parts).catch(() => [])).filter((name) =>
    /\.(sources|list)$/.test(name),
  )
  const paths = ['/etc/apt/sources.list', ...names.map((name) => join(parts, name))]
  const found: string[] = []
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => '')
    const active = text.split('\n').filter((line) => !line.trimStart().startsWith('#'))
    if (
      active.some((line) => /debian/.test(line)) &&
      active.some((line) => /\bbookworm\b/.test(line))
    ) {
      found.push(path)
    }
  }
  return found
}

async function hasImage(name: string): Promise<boolean> {
  return (await run('docker', ['image', 'inspect', name])).code === 0
}

interface Ended {
  code: number | 'missing' | null
  stdout: string
  stderr: string
}

/** Runs a command and keeps what it says; never throws for how it ends. */
export function run(
  command: string,
  args: string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...options.env } })
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        said[name] = (said[name] + chunk).slice(-65_536)
      })
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve({ code: 'missing', ...said })
      else reject(error)
    })
    child.once('close', (code) => resolve({ code, ...said }))
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
  })
}

async function need(...call: Parameters<typeof run>): Promise<void> {
  const { code, stdout, stderr } = await run(...call)
  if (code === 0) return
  const tail = `${stdout}\n${stderr}`.trim().split('\n').slice(-12).join('\n')
  throw new SetupError(`${call[0]} ${call[1][0]} ended with ${code}:\n${tail}`)
}

const lastLine = (text: string) => text.trim().split('\n').at(-1) ?? ''
const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`
