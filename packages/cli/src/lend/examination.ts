import { randomUUID } from 'node:crypto'
import { access, constants, mkdtemp, rm, statfs } from 'node:fs/promises'
import { availableParallelism, networkInterfaces, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { formatByteSize, type Runtime, toManyhandsError } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import type { Output } from '../output.ts'
import { hostStateDirectory } from '../state-home.ts'
import { DEFAULT_RUNTIMES, loadRuntimes } from './runtimes.ts'

/** One thing looked at. What is not `ok` comes with what to do. */
export interface Check {
  name: string
  ok: boolean
  detail: string
  todo?: string
  /** For a runtime: its name and what it says of itself. */
  runtime?: string
  attributes?: Record<string, string>
}

export interface Examination {
  v: 1
  time: string
  ok: boolean
  checks: Check[]
}

const MIN_NODE = [22, 18] as const
const ENOUGH_DISK = 10 * 1024 ** 3

export async function examine(
  options: { runtime?: string[]; state?: string },
  context: Pick<CommandContext, 'env' | 'cwd'>,
): Promise<Examination> {
  const runtimes = await loadRuntimes(options.runtime ?? DEFAULT_RUNTIMES, { env: context.env })
  const checks = [
    nodeCheck(),
    computerCheck(),
    ...(await Promise.all(runtimes.map(runtimeCheck))),
    await diskCheck(hostStateDirectory(context.env, context.cwd, options.state)),
    networkCheck(),
  ]
  return {
    v: 1,
    time: new Date().toISOString(),
    ok: checks.every((check) => check.ok),
    checks,
  }
}

/** The examination for people. */
export function reportText(report: Examination, output: Output): string {
  return report.checks
    .flatMap((check) => [
      `${output.style(check.ok ? 'green' : 'red', check.ok ? 'ok  ' : 'FAIL')}  ${check.name}: ${check.detail}`,
      ...Object.entries(check.attributes ?? {}).map(
        ([name, value]) => `        ${name} = ${value}`,
      ),
      ...(check.todo === undefined ? [] : [`        to do: ${check.todo}`]),
    ])
    .join('\n')
}

function nodeCheck(): Check {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number]
  const ok = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])
  return {
    name: 'node',
    ok,
    detail: process.versions.node,
    ...(ok ? {} : { todo: `Install Node ${MIN_NODE.join('.')} or newer.` }),
  }
}

function computerCheck(): Check {
  const detail = `${availableParallelism()} cores, ${formatByteSize(totalmem())} memory, ${process.platform} ${process.arch}`
  return { name: 'computer', ok: true, detail }
}

async function runtimeCheck(runtime: Runtime): Promise<Check> {
  const name = `runtime ${runtime.name}`
  const stateDir = await mkdtemp(join(tmpdir(), 'manyhands-doctor-'))
  try {
    // An instance of its own: what a running host owns is not touched.
    await runtime.open({ hostInstance: `doctor-${randomUUID()}`, stateDir })
    const { available, detail, version, attributes } = await runtime.fingerprint()
    return {
      name,
      ok: available,
      detail: [version, detail].filter((part) => part !== undefined).join('; ') || 'available',
      ...(available ? {} : { todo: todo(runtime.name) }),
      runtime: runtime.name,
      attributes,
    }
  } catch (thrown) {
    const error = toManyhandsError(thrown)
    return { name, ok: false, detail: error.message, todo: error.hint, runtime: runtime.name }
  } finally {
    await runtime.close().catch(() => {})
    await rm(stateDir, { recursive: true, force: true })
  }
}

const todo = (runtime: string) =>
  runtime === 'docker'
    ? 'Start Docker, and let this user reach its socket; or lend with --runtime wasm alone.'
    : `Install what the runtime ${runtime} needs.`

async function diskCheck(stateDirectory: string): Promise<Check> {
  const name = 'state directory'
  const existing = await nearestDirectory(stateDirectory)
  try {
    await access(existing, constants.W_OK)
    const { bavail, bsize } = await statfs(existing)
    const free = bavail * bsize
    const ok = free >= ENOUGH_DISK
    return {
      name,
      ok,
      detail: `${stateDirectory}, ${formatByteSize(free)} free`,
      ...(ok ? {} : { todo: 'Free some space, or name a directory on another disk with --state.' }),
    }
  } catch (error) {
    const todo = 'Name a directory that you may write to with --state.'
    return { name, ok: false, detail: `${stateDirectory}: ${(error as Error).message}`, todo }
  }
}

async function nearestDirectory(path: string): Promise<string> {
  for (let directory = path; ; directory = dirname(directory)) {
    const exists = await access(directory).then(
      () => true,
      () => false,
    )
    if (exists || directory === dirname(directory)) return directory
  }
}

function networkCheck(): Check {
  const addresses = Object.values(networkInterfaces())
    .flatMap((interfaces) => interfaces ?? [])
    .filter(({ internal }) => !internal)
    .map(({ address }) => address)
  const ok = addresses.length > 0
  return {
    name: 'network',
    ok,
    detail: ok ? addresses.join(', ') : 'only loopback',
    ...(ok ? {} : { todo: 'Connect to a network; only clients on this computer can come.' }),
  }
}
