/** The kernel's least quota, and the least of cores that a container is given. */
const QUOTA_LEAST_US = 1_000
const CPUS_LEAST = 0.01
/** A tenth of the engine's own. */
const PERIOD_US = 10_000

/**
 * Cores as the engine's quota per period. The period is short: a task of many processes may use up its
 * quota on all cores at once, and its neighbours have to wait until it has.
 */
export function cpuLimit(cpus: number): { CpuPeriod: number; CpuQuota: number } {
  const given = Math.max(CPUS_LEAST, cpus)
  const period = Math.max(PERIOD_US, Math.ceil(QUOTA_LEAST_US / given))
  return { CpuPeriod: period, CpuQuota: Math.max(QUOTA_LEAST_US, Math.round(period * given)) }
}

/** The inverse, of a container that was made earlier; a core when it has no limit. */
export function cpusOf(config: { CpuPeriod?: number; CpuQuota?: number }): number {
  const { CpuPeriod = 0, CpuQuota = 0 } = config
  return CpuPeriod > 0 && CpuQuota > 0 ? CpuQuota / CpuPeriod : 1
}
