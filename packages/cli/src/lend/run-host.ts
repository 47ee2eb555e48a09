import { mkdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { createControlServer, removeControlFile, writeControlFile } from '@manyhands/control'
import {
  isTerminal,
  type Logger,
  ManyhandsError,
  type Membership,
  toManyhandsError,
} from '@manyhands/core'
import { createHost, type Host, type HostAttempt } from '@manyhands/host'
import type { CommandContext } from '../command-context.ts'
import { orInterrupted } from '../interruption.ts'
import type { Output } from '../output.ts'
import { controlFilePath } from '../state-home.ts'
import { type HostFlags, hostOptions } from './host-options.ts'
import { keepPolicyInForce } from './policy-in-force.ts'
import { DEFAULT_RUNTIMES, loadRuntimes } from './runtimes.ts'

const DRAIN_MS = 30_000
/** How long a drained host stays for clients that fetch their last results. */
const HANDOVER_MS = 5000
/** How long an end that was asked for twice may take. */
const FORCED_MS = 5000

/** Lends this computer until the first signal, then drains. Returns the exit code. */
export async function runHost(flags: HostFlags, context: CommandContext): Promise<number> {
  const { output, interruption } = context
  const runtimes = await loadRuntimes(flags.runtime ?? DEFAULT_RUNTIMES, {
    env: context.env,
    isolation: flags.isolation,
    diskQuota: flags.diskQuota,
    cpuPinning: flags.cpuPinning,
    egressAllow: flags.egressAllow,
    microvmKernel: flags.microvmKernel,
    microvmModules: flags.microvmModules,
  })
  const options = await hostOptions(flags, runtimes, context, logger(output))
  await makeStateDirectory(options.state)
  const host = await orInterrupted(createHost(options), interruption.signal)
  try {
    requireRuntimes(host, flags.runtime)
    const stopped = new AbortController()
    await using control = await createControlServer({ host, stop: () => stopped.abort() })
    const { url, token, version } = control
    const path = controlFilePath(options.state)
    const { membership } = options.network ?? {}
    await writeControlFile(path, {
      ...{ url, token, pid: process.pid, peerId: host.peerId, version },
      ...(membership === undefined ? {} : { network: membership.network }),
    })
    try {
      host.addEventListener('attempt', (event) => {
        tellAttempt(output, (event as CustomEvent<HostAttempt>).detail)
      })
      tellReady(host, url, output, membership)
      using _ = await keepPolicyInForce(host, flags, context)
      await untilAborted(AbortSignal.any([interruption.signal, stopped.signal]))
      return await endPolitely(host, context)
    } finally {
      await removeControlFile(path, token)
    }
  } finally {
    await host.close()
  }
}

async function makeStateDirectory(path: string): Promise<void> {
  try {
    // Others have no business among an owner's keys.
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `cannot use the state directory ${path}: ${(error as Error).message}`,
      { cause: error, hint: 'Name another directory with --state.' },
    )
  }
}

/** A runtime that was asked for by name has to be there; without names, at least one. */
function requireRuntimes(host: Host, names: string[] | undefined): void {
  const offered = host.offer.runtimes.map((runtime) => runtime.name)
  const missing = (names ?? []).filter((name) => !offered.includes(name))
  if (missing.length > 0 || offered.length === 0) {
    throw new ManyhandsError(
      'RUNTIME_UNAVAILABLE',
      missing.length > 0
        ? `the runtime ${missing.join(', ')} is not available on this computer`
        : 'no runtime is available on this computer',
    )
  }
}

function tellReady(
  host: Host,
  control: string,
  output: Output,
  membership: Membership | undefined,
): void {
  const { peerId, addresses, offer } = host
  const ready = {
    ...{ peerId, addresses, control },
    ...(membership === undefined ? {} : { network: membership.name }),
  }
  output.event('ready', ready)
  output.document(ready)
  if (output.format !== 'text') return
  const { share } = offer
  const runtimes = offer.runtimes.map((runtime) => runtime.name).join(', ')
  output.say(`host ${peerId} is ready`)
  output.say(
    `  lends    ${share.cpus} cores, ${(share.memoryBytes / 1024 ** 3).toFixed(1)} GiB memory`,
  )
  output.say(`  runs     ${runtimes}`)
  for (const address of addresses) output.say(`  address  ${address}`)
  output.say(`  control  ${control}`)
  if (membership !== undefined) output.say(`  network  ${membership.name}, for its members alone`)
  output.say(`use it:    manyhands run --bootstrap ${addresses[0] ?? 'ADDR'} …`)
  output.say('see it:    manyhands ps')
}

function tellAttempt(output: Output, attempt: HostAttempt): void {
  output.event('attempt', attempt)
  if (output.format !== 'text') return
  if (attempt.phase !== 'running' && !isTerminal(attempt.phase)) return
  const reason = attempt.reason === undefined ? '' : ` (${attempt.reason})`
  const name = attempt.jobName === '' ? attempt.job : attempt.jobName
  output.say(`${attempt.phase.padEnd(10)} ${name} ${attempt.task}  ${attempt.id}${reason}`)
}

async function endPolitely(host: Host, { output, interruption }: CommandContext): Promise<number> {
  const now = new AbortController()
  interruption.onSecond(() => {
    if (now.signal.aborted) process.exit(130)
    output.say('ending now')
    // Should the end itself hang, the owner still gets the computer back.
    setTimeout(() => process.exit(130), FORCED_MS).unref()
    now.abort()
  })
  const running = host.attempts().filter((attempt) => !isTerminal(attempt.phase)).length
  output.say(
    running === 0
      ? 'ending'
      : `draining: ${running} attempts have ${DRAIN_MS / 1000} s to finish; again to end now`,
  )
  try {
    const report = await orInterrupted(
      host.drain({ deadline: DRAIN_MS, reason: 'the host is shut down' }),
      now.signal,
    )
    output.event('drained', report)
    const deadline = performance.now() + HANDOVER_MS
    while (host.attempts().length > 0 && performance.now() < deadline && !now.signal.aborted) {
      await delay(50)
    }
    return now.signal.aborted ? 130 : 0
  } catch (error) {
    if (now.signal.aborted) return 130
    throw error
  }
}

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

const logger = (output: Output): Logger => ({
  debug: () => {},
  warn(message, fields) {
    const error = fields?.['error']
    const detail = error === undefined ? '' : `: ${toManyhandsError(error).message}`
    output.say(`${output.style('yellow', 'warning')} ${message}${detail}`)
  },
})
