import type Docker from 'dockerode'
import type { CgroupReading } from './cgroup.ts'
import type { Engine } from './engine.ts'

/** The engine's own statistics: for engines whose cgroups are not on this computer. */
export async function readEngineStats(
  engine: Engine,
  container: Docker.Container,
): Promise<CgroupReading> {
  // One-shot spares the engine's second sample, which would take a second.
  const stats = (await container.stats({
    stream: false,
    'one-shot': true,
    abortSignal: engine.deadline(10_000),
  } as { stream: false })) as Docker.ContainerStats
  const memory = stats.memory_stats ?? {}
  const detail = (memory.stats ?? {}) as Partial<Record<string, number>>
  const cacheWithShared = detail['total_cache'] ?? detail['file'] ?? 0
  const cache = cacheWithShared - (detail['total_shmem'] ?? detail['shmem'] ?? 0)
  const memoryBytes = Math.max(0, (memory.usage ?? 0) - cache)
  return {
    cpuMs: (stats.cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e6,
    memoryBytes,
    memoryPeakBytes: Math.max(memoryBytes, (memory.max_usage ?? 0) - cache),
    pids: stats.pids_stats?.current ?? 0,
  }
}
