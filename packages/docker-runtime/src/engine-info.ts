/** What this package reads of the engine's answer to `GET /info`; Docker's and Podman's both. */
export interface EngineInfo {
  ServerVersion?: string
  OSType?: string
  OperatingSystem?: string
  Architecture?: string
  Driver?: string
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
