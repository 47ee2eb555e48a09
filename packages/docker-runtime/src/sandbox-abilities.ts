import { platform } from 'node:process'
import type { EngineInfo } from './engine-info.ts'
import { mapsUsers } from './engine-info.ts'
import type { IsolationLevel } from './isolation.ts'

/** What of a sandbox depends on the engine behind it. */
export interface SandboxAbilities {
  /** A process inside can connect to a unix socket that the host has put into a directory for it. */
  sockets: boolean
  secrets: boolean
  /** Programs can follow each other in it: its processes are this kernel's, and are seen from here. */
  warm: boolean
}

/** Containers of these are processes of this computer's kernel. */
const SHARED_KERNEL: readonly IsolationLevel[] = ['runc', 'userns', 'rootless']

/**
 * Truthful where it is known, `false` where it is not: an attempt that needs what is missing is
 * refused before it starts.
 *
 * @param local - whether the engine is on this computer
 * @param memory - whether there is a place for files in memory
 */
export function sandboxAbilities(
  info: EngineInfo | undefined,
  level: IsolationLevel | undefined,
  local: boolean,
  memory: boolean,
): SandboxAbilities {
  if (info === undefined || level === undefined || !local || platform !== 'linux') {
    return { sockets: false, secrets: false, warm: false }
  }
  // An engine that brings its own machine, such as Docker Desktop, has another kernel than ours.
  const ownMachine = /docker desktop/i.test(info.OperatingSystem ?? '')
  const sockets =
    !ownMachine && (SHARED_KERNEL.includes(level) || (level === 'gvisor' && opensHostSockets(info)))
  // Where users are mapped, whom the task becomes is not known here, and nobody else may read them.
  const secrets = memory && !ownMachine && !mapsUsers(info) && level !== 'unknown'
  // A rootless engine's control groups are its user's, in places that differ from system to system.
  const warm = sockets && (level === 'runc' || level === 'userns')
  return { sockets, secrets, warm }
}

/** gVisor's own kernel lets no socket of the host in, unless its owner has told it to. */
function opensHostSockets(info: EngineInfo): boolean {
  const args = Object.entries(info.Runtimes ?? {})
    .filter(([name]) => /runsc|gvisor/.test(name))
    .map(([, runtime]) => runtime?.runtimeArgs ?? [])
  return (
    args.length > 0 && args.every((list) => list.some((arg) => /^--host-uds=(open|all)$/.test(arg)))
  )
}
