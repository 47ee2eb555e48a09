import { ManyhandsError } from '@manyhands/core'
import { type EngineInfo, engineKind, securityNames } from './engine-info.ts'

/**
 * What separates a task from the host's system. `runc` is a plain rootful engine: a container's root
 * would be the host's. `userns` and `rootless` map it to an unprivileged user; `gvisor` and `kata` put
 * another kernel between. `unknown` wherever it cannot be read: never a guess.
 */
export type IsolationLevel = 'runc' | 'userns' | 'rootless' | 'gvisor' | 'kata' | 'unknown'

/** What an owner asks for: one of the well-known names, or the name that the engine has for it. */
export type IsolationChoice = 'runc' | 'runsc' | 'kata' | (string & {})

/** The OCI runtime that containers are created with, and what it really is. */
export interface ChosenIsolation {
  /** Undefined: the engine's default, which is not named to it. */
  ociRuntime: string | undefined
  level: IsolationLevel
}

/** Other names under which engines have what an owner calls by its usual one. */
const ALIASES: Record<string, RegExp> = {
  runc: /^(io\.containerd\.runc\.v\d+)$/,
  runsc: /^(gvisor|io\.containerd\.runsc\.v\d+)$/,
  kata: /^(kata-[a-z-]+|io\.containerd\.kata[a-z-]*\.v\d+)$/,
}
/** A program proves what it is by its name; a shim of containerd by its own. */
const PROGRAMS: [RegExp, IsolationLevel][] = [
  [/^(runc|crun|youki)$/, 'runc'],
  [/^(runsc|containerd-shim-runsc-v\d+)$/, 'gvisor'],
  [/^(kata-runtime|kata-qemu|kata-fc|kata-clh|containerd-shim-kata[a-z-]*-v\d+)$/, 'kata'],
]
const SHIM = /^io\.containerd\.(runc|runsc|kata)[a-z-]*\.v\d+$/

/**
 * Settles which runtime containers get.
 *
 * @throws RUNTIME_UNAVAILABLE when the engine does not have, or would not use, what the owner chose
 */
export function chooseIsolation(info: EngineInfo, choice?: IsolationChoice): ChosenIsolation {
  const standard = info.DefaultRuntime ?? ''
  const name = choice === undefined ? standard : nameInEngine(info, choice)
  if (name === undefined) {
    const known = Object.keys(info.Runtimes ?? {}).join(', ') || 'none'
    throw new ManyhandsError(
      'RUNTIME_UNAVAILABLE',
      `the engine has no OCI runtime '${choice}': install it, name it under "runtimes" in the engine's daemon.json, and restart the engine (it has: ${known})`,
    )
  }
  // Podman's Docker-compatible interface takes the field, answers "created", and uses its default.
  if (engineKind(info) === 'podman' && name !== standard) {
    throw new ManyhandsError(
      'RUNTIME_UNAVAILABLE',
      `Podman's socket uses its default runtime ('${standard}') whatever is asked for: set runtime = "${name}" under [engine] in containers.conf and restart its service`,
    )
  }
  return { ociRuntime: choice === undefined ? undefined : name, level: levelOf(info, name) }
}

/** Whether limits of a running container can be changed: neither Podman's socket nor gVisor has a way. */
export function canUpdate(info: EngineInfo, choice?: IsolationChoice): boolean {
  const runtime = choice === undefined ? info.DefaultRuntime : nameInEngine(info, choice)
  return engineKind(info) === 'docker' && programLevel(info, runtime ?? '') !== 'gvisor'
}

function nameInEngine(info: EngineInfo, choice: string): string | undefined {
  const names = Object.keys(info.Runtimes ?? {})
  const alias = Object.hasOwn(ALIASES, choice) ? ALIASES[choice] : undefined
  return names.find((name) => name === choice) ?? names.find((name) => alias?.test(name))
}

function levelOf(info: EngineInfo, runtime: string): IsolationLevel {
  const program = programLevel(info, runtime)
  if (program !== 'runc') return program
  const options = securityNames(info)
  if (options.includes('rootless')) return 'rootless'
  return options.includes('userns') ? 'userns' : 'runc'
}

/** By the registered program, because a name can be given to anything. */
function programLevel(info: EngineInfo, runtime: string): IsolationLevel {
  const registered = Object.hasOwn(info.Runtimes ?? {}, runtime)
    ? info.Runtimes?.[runtime]
    : undefined
  if (registered?.path) {
    const program = registered.path.slice(registered.path.lastIndexOf('/') + 1)
    return PROGRAMS.find(([pattern]) => pattern.test(program))?.[1] ?? 'unknown'
  }
  const shim = SHIM.exec(runtime)?.[1]
  return shim === 'runsc' ? 'gvisor' : ((shim as 'runc' | 'kata' | undefined) ?? 'unknown')
}

/** The facts that an offer carries: only what the engine says of itself. */
export function engineAttributes(
  info: EngineInfo,
  isolation: ChosenIsolation,
): Record<string, string> {
  const facts: Record<string, string | undefined> = {
    'docker.engine': engineKind(info),
    'docker.isolation': isolation.level,
    'docker.oci-runtime': isolation.ociRuntime ?? info.DefaultRuntime,
    'docker.version': info.ServerVersion,
    'docker.os': info.OSType,
    'docker.arch': info.Architecture,
    'docker.storage': info.Driver,
    'docker.cgroup': info.CgroupVersion,
    'docker.security': securityNames(info).join(','),
    'docker.live-restore':
      info.LiveRestoreEnabled === undefined ? undefined : `${info.LiveRestoreEnabled}`,
  }
  return Object.fromEntries(
    Object.entries(facts).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}
