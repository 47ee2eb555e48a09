/** What this package reads of the engine's answer to `GET /info`; Docker's and Podman's both. */
export interface EngineInfo {
  ServerVersion?: string
  OSType?: string
  OperatingSystem?: string
  Architecture?: string
  Driver?: string
  DriverStatus?: [string, string][] | null
  CgroupVersion?: string
  DefaultRuntime?: string
  /** OCI runtimes by name; the path is empty for those that are shims of containerd. */
  Runtimes?: Record<string, { path?: string; runtimeArgs?: string[] | null } | null>
  SecurityOptions?: string[]
  /** Whether it can bind containers to cores. */
  CPUSet?: boolean
  LiveRestoreEnabled?: boolean
  DockerRootDir?: string
  /** Docker 25 and newer: directories of device descriptions; empty when CDI is off. */
  CDISpecDirs?: string[] | null
  /** Only Podman tells of it. */
  BuildahVersion?: string
}

export type EngineKind = 'docker' | 'podman'

export function engineKind(info: EngineInfo): EngineKind {
  return info.BuildahVersion === undefined ? 'docker' : 'podman'
}

/** Names of the engine's security options; it writes `name=seccomp,profile=default`. */
export function securityNames(info: EngineInfo): string[] {
  return (info.SecurityOptions ?? []).flatMap((option) => {
    const name = /(?:^|,)name=([^,]+)/.exec(option)?.[1]
    return name === undefined ? [] : [name]
  })
}

/** Whether container users are mapped to others of the host: their files belong to nobody we know. */
export function mapsUsers(info: EngineInfo): boolean {
  return securityNames(info).some((name) => name === 'rootless' || name === 'userns')
}

/**
 * Whether images are kept by containerd: they are named by a manifest there, which each engine makes
 * for itself, and not by their configuration.
 */
export function hasContainerdStore(info: EngineInfo): boolean {
  return (info.DriverStatus ?? []).some(([, value]) =>
    value.startsWith('io.containerd.snapshotter'),
  )
}

const ARCHITECTURES: Record<string, string> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  armv7l: 'arm',
  armv6l: 'arm',
  i686: '386',
  i386: '386',
}

/** The engine's processor as images name it. */
export function engineArchitecture(info: EngineInfo): string | undefined {
  const { Architecture: name } = info
  return name === undefined ? undefined : (ARCHITECTURES[name] ?? name)
}
