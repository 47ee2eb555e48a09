import type Docker from 'dockerode'
import type { EngineAddress } from './connect/engine-address.ts'
import { enginesToTry } from './connect/find-engine.ts'
import type { Engine } from './engine.ts'
import { engineMessage, unreachableReason } from './engine-error.ts'
import { type EngineInfo, type EngineKind, engineKind } from './engine-info.ts'

const ANSWER_MS = 5000

/** What can be found out about the engines of this computer without running anything. */
export interface EngineExamination {
  /** Where an engine was looked for, in the order that `docker()` has, and what came of it. */
  tried: { where: string; answers: boolean; detail?: string }[]
  /** The one that `docker()` would use: the first that answers. Absent when none does. */
  engine?: EngineReport
}

/** What an engine says of itself. Fields that it does not tell are absent. */
export interface EngineReport {
  where: string
  /** Whether its containers are processes of this computer. */
  local: boolean
  kind: EngineKind
  version?: string
  apiVersion?: string
  kernel?: string
  system?: string
  cgroup?: string
  storage?: string
  /** OCI runtimes that it has, and the one that it uses by itself. */
  ociRuntimes: string[]
  defaultOciRuntime?: string
  /** As it writes them: `name=seccomp,profile=default`. */
  securityOptions: string[]
  /** Its clock minus ours, ms, give or take how long it took to answer. */
  clockAheadMs?: number
}

interface ToldInfo extends EngineInfo {
  KernelVersion?: string
  OperatingSystem?: string
  SystemTime?: string
}

/**
 * Looks for engines as `docker()` does and asks the first that answers about itself.
 *
 * @throws CONFIG_INVALID when the owner named what is no address
 */
export async function examineEngines(address: EngineAddress = {}): Promise<EngineExamination> {
  const looked = await Promise.all(
    enginesToTry(address).map(async (engine) => ({ engine, ...(await answer(engine)) })),
  )
  const tried = looked.map(({ engine, detail }) => ({
    where: engine.where,
    answers: detail === undefined,
    ...(detail === undefined ? {} : { detail }),
  }))
  const found = looked.find(({ report }) => report !== undefined)?.report
  return { tried, ...(found === undefined ? {} : { engine: found }) }
}

async function answer(engine: Engine): Promise<{ report?: EngineReport; detail?: string }> {
  try {
    const [version, { info, clockAheadMs }] = await Promise.all([
      askVersion(engine),
      askInfo(engine),
    ])
    return {
      report: {
        where: engine.where,
        local: engine.local,
        kind: engineKind(info),
        version: info.ServerVersion ?? version.Version,
        apiVersion: version.ApiVersion,
        kernel: info.KernelVersion ?? version.KernelVersion,
        system: info.OperatingSystem,
        cgroup: info.CgroupVersion,
        storage: info.Driver,
        ociRuntimes: Object.keys(info.Runtimes ?? {}).sort(),
        defaultOciRuntime: info.DefaultRuntime,
        securityOptions: info.SecurityOptions ?? [],
        clockAheadMs,
      },
    }
  } catch (error) {
    return { detail: unreachableReason(error) ?? engineMessage(error) }
  }
}

// The declared types have no signal; the client library does take one.
const bounded = (engine: Engine) => ({ abortSignal: engine.deadline(ANSWER_MS) })

async function askVersion(engine: Engine): Promise<Docker.DockerVersion> {
  const ask = engine.docker.version.bind(engine.docker) as (
    options: object,
  ) => Promise<Docker.DockerVersion>
  return await ask(bounded(engine))
}

async function askInfo(engine: Engine) {
  const ask = engine.docker.info.bind(engine.docker) as (options: object) => Promise<ToldInfo>
  const asked = Date.now()
  const info = await ask(bounded(engine))
  const told = Date.parse(info.SystemTime ?? '')
  // It looked at its clock somewhere between question and answer.
  const clockAheadMs = Number.isNaN(told) ? undefined : Math.round(told - (asked + Date.now()) / 2)
  return { info, clockAheadMs }
}
