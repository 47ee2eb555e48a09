import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Runtime, toManyhandsError } from '@manyhands/core'
import type { EngineExamination } from '@manyhands/docker-runtime'
import type { CommandContext } from '../../command-context.ts'
import { hostStateDirectory } from '../../state-home.ts'
import { DEFAULT_RUNTIMES, loadRuntimes } from '../runtimes.ts'
import type { Check, Examiner, FoundRuntime, Patient } from './check.ts'
import { clockCheck } from './clock-check.ts'
import { computerCheck } from './computer-check.ts'
import { engineChecks } from './engine-checks.ts'
import { isolationChecks } from './isolation-checks.ts'
import { networkCheck } from './network-check.ts'
import { nodeCheck } from './node-check.ts'
import { runtimeChecks } from './runtime-checks.ts'
import { sandboxChecks } from './sandbox-checks.ts'
import { sensorsCheck } from './sensors-check.ts'
import { stateCheck } from './state-check.ts'

export interface Examination {
  v: 1
  time: string
  /** Whether nothing failed. Warnings are not failures. */
  ok: boolean
  /** Whether at least one runtime can be used. */
  usable: boolean
  checks: Check[]
}

const EXAMINERS: Examiner[] = [
  () => [nodeCheck(process.versions.node), computerCheck()],
  runtimeChecks,
  engineChecks,
  isolationChecks,
  sandboxChecks,
  stateCheck,
  networkCheck,
  clockCheck,
  sensorsCheck,
]

/** Looks at everything that lending depends on. Changes nothing, and runs no task. */
export async function examine(
  options: {
    runtime?: string[]
    isolation?: string
    microvmKernel?: string
    microvmModules?: string
    state?: string
  },
  context: Pick<CommandContext, 'env' | 'cwd'>,
): Promise<Examination> {
  const { env, cwd } = context
  const names = options.runtime ?? DEFAULT_RUNTIMES
  const runtimes = await loadRuntimes(names, { ...options, env })
  const [engines, ...found] = await Promise.all([
    names.includes('docker') ? lookForEngines(env) : undefined,
    ...runtimes.map(lookAt),
  ])
  const stateDirectory = hostStateDirectory(env, cwd, options.state)
  const patient: Patient = { context, stateDirectory, runtimes: found, engines }
  const checks = (await Promise.all(EXAMINERS.map((examiner) => examiner(patient)))).flat()
  return {
    v: 1,
    time: new Date().toISOString(),
    ok: checks.every((check) => check.ok),
    usable: found.some(({ fingerprint }) => fingerprint.available),
    checks,
  }
}

async function lookForEngines(env: CommandContext['env']): Promise<EngineExamination> {
  const { examineEngines } = await import('@manyhands/docker-runtime')
  return await examineEngines({ env })
}

async function lookAt(runtime: Runtime): Promise<FoundRuntime> {
  const { name } = runtime
  const stateDir = await mkdtemp(join(tmpdir(), 'manyhands-doctor-'))
  try {
    // An instance of its own: what a running host owns is not touched.
    await runtime.open({ hostInstance: `doctor-${randomUUID()}`, stateDir })
    return {
      name,
      fingerprint: await runtime.fingerprint(),
      capabilities: { ...runtime.capabilities },
    }
  } catch (thrown) {
    const { message, hint } = toManyhandsError(thrown)
    const fingerprint = { available: false, detail: message, attributes: {} }
    return { name, fingerprint, capabilities: undefined, hint }
  } finally {
    await runtime.close().catch(() => {})
    await rm(stateDir, { recursive: true, force: true })
  }
}
