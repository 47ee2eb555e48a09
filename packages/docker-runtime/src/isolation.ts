/** What of the engine's own words tells how its containers are separated from the host. */
export interface EngineInfo {
  ServerVersion?: string
  OSType?: string
  Architecture?: string
  Driver?: string
  CgroupVersion?: string
  DefaultRuntime?: string
  SecurityOptions?: string[]
  LiveRestoreEnabled?: boolean
}

/**
 * `runc` is a plain rootful engine: a container's root would be the host's. `userns` and `rootless`
 * map it to an unprivileged user; `gvisor` and `kata` put another kernel between. Never a guess.
 */
export type Isolation = 'runc' | 'userns' | 'rootless' | 'gvisor' | 'kata' | 'unknown'

export function isolationOf(info: EngineInfo, ociRuntime?: string): Isolation {
  const runtime = ociRuntime ?? info.DefaultRuntime ?? ''
  if (/^(io\.containerd\.)?runsc/.test(runtime)) return 'gvisor'
  if (/kata/.test(runtime)) return 'kata'
  const options = securityNames(info)
  if (options.includes('rootless')) return 'rootless'
  if (options.includes('userns')) return 'userns'
  return /^(runc|crun|io\.containerd\.runc)/.test(runtime) ? 'runc' : 'unknown'
}

/** The facts that an offer carries: only what the engine says of itself. */
export function engineAttributes(info: EngineInfo, ociRuntime?: string): Record<string, string> {
  const facts: Record<string, string | undefined> = {
    'docker.isolation': isolationOf(info, ociRuntime),
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

// The engine writes `name=seccomp,profile=default`.
function securityNames(info: EngineInfo): string[] {
  return (info.SecurityOptions ?? []).flatMap((option) => {
    const name = /(?:^|,)name=([^,]+)/.exec(option)?.[1]
    return name === undefined ? [] : [name]
  })
}
