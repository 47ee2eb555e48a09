import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * One reading of a container's counters, without any work of the engine. The files are the kernel's
 * memory and no disk stands behind them: read at once they cost 50 µs, by way of the thread pool 500.
 */
export interface CgroupReading {
  cpuMs: number
  /** Without the page cache, which the kernel takes back by itself. */
  memoryBytes: number
  /** The kernel's own record of the most, less what is cache now. */
  memoryPeakBytes: number
  pids: number
}

export interface CgroupReader {
  /** @throws what the file system throws, when the container has ended */
  read(): Promise<CgroupReading>
}

/** Where Docker and Podman put containers, each with the cgroupfs and the systemd driver. */
const PARENTS = (id: string) => [
  `docker/${id}`,
  `system.slice/docker-${id}.scope`,
  `libpod_parent/libpod-${id}`,
  `machine.slice/libpod-${id}.scope`,
]

/** Finds the cgroup of a running container; undefined when it is not on this computer. */
export async function findCgroup(
  containerId: string,
  root = '/sys/fs/cgroup',
): Promise<CgroupReader | undefined> {
  for (const path of PARENTS(containerId)) {
    for (const reader of [new CgroupV2(join(root, path)), new CgroupV1(root, path)]) {
      const found = await reader.read().catch(() => undefined)
      if (found !== undefined) return reader
    }
  }
  return undefined
}

/**
 * How many processes of a container the kernel killed for want of memory; undefined when the cgroup
 * is not here or gone. Synchronous, because it is read in the moment between the last process's end
 * and the engine's removal of the cgroup.
 */
export function readOomKills(containerId: string, root = '/sys/fs/cgroup'): number | undefined {
  for (const path of PARENTS(containerId)) {
    for (const file of [
      join(root, path, 'memory.events'),
      join(root, 'memory', path, 'memory.oom_control'),
    ]) {
      try {
        const match = /^oom_kill (\d+)$/m.exec(readFileSync(file, 'utf8'))
        if (match !== null) return Number(match[1])
      } catch {
        // Another layout, or already removed.
      }
    }
  }
  return undefined
}

/** How many processes and threads a container has; undefined when that is not to be seen here. */
export function readThreads(containerId: string, root = '/sys/fs/cgroup'): number | undefined {
  for (const path of PARENTS(containerId)) {
    for (const file of [
      join(root, path, 'pids.current'),
      join(root, 'pids', path, 'pids.current'),
    ]) {
      try {
        return number(file)
      } catch {
        // Another layout.
      }
    }
  }
  return undefined
}

/** Where the kernel is told to hold a container's processes, and where it says that it does. */
export interface Freezer {
  control: string
  freeze: string
  thaw: string
  state: string
  frozen: RegExp
}

/** Where the freezer of a container may be, in either version. */
export function freezers(containerId: string, root = '/sys/fs/cgroup'): Freezer[] {
  return PARENTS(containerId).flatMap((path) => {
    const v1 = join(root, 'freezer', path, 'freezer.state')
    const [control, state] = ['cgroup.freeze', 'cgroup.events'].map((name) =>
      join(root, path, name),
    )
    return [
      { control: control!, freeze: '1', thaw: '0', state: state!, frozen: /^frozen 1$/m },
      { control: v1, freeze: 'FROZEN', thaw: 'THAWED', state: v1, frozen: /^FROZEN$/m },
    ]
  })
}

class CgroupV1 implements CgroupReader {
  readonly #cpu: string
  readonly #memory: string
  readonly #pids: string

  constructor(root: string, path: string) {
    this.#cpu = join(root, 'cpuacct', path)
    this.#memory = join(root, 'memory', path)
    this.#pids = join(root, 'pids', path)
  }

  async read(): Promise<CgroupReading> {
    const cpu = number(join(this.#cpu, 'cpuacct.usage'))
    const usage = number(join(this.#memory, 'memory.usage_in_bytes'))
    const peak = number(join(this.#memory, 'memory.max_usage_in_bytes'))
    const stat = table(join(this.#memory, 'memory.stat'))
    const pids = number(join(this.#pids, 'pids.current'))
    // Shared memory counts as cache, but nothing takes it back.
    const cache = (stat.get('total_cache') ?? 0) - (stat.get('total_shmem') ?? 0)
    return reading(cpu / 1e6, usage, peak, cache, pids)
  }
}

class CgroupV2 implements CgroupReader {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async read(): Promise<CgroupReading> {
    const cpu = table(join(this.#path, 'cpu.stat'))
    const usage = number(join(this.#path, 'memory.current'))
    const stat = table(join(this.#path, 'memory.stat'))
    const pids = number(join(this.#path, 'pids.current'))
    // Kernels before 5.19 have no memory.peak.
    const peakFile = join(this.#path, 'memory.peak')
    const peak = existsSync(peakFile) ? number(peakFile) : 0
    const cache = (stat.get('file') ?? 0) - (stat.get('shmem') ?? 0)
    return reading((cpu.get('usage_usec') ?? 0) / 1e3, usage, peak, cache, pids)
  }
}

function reading(
  cpuMs: number,
  usage: number,
  peak: number,
  cache: number,
  pids: number,
): CgroupReading {
  const memoryBytes = Math.max(0, usage - cache)
  return { cpuMs, memoryBytes, memoryPeakBytes: Math.max(memoryBytes, peak - cache), pids }
}

function number(path: string): number {
  return Number(readFileSync(path, 'utf8'))
}

function table(path: string): Map<string, number> {
  const lines = readFileSync(path, 'utf8').split('\n')
  return new Map(
    lines.map((line) => {
      const [name = '', value] = line.split(' ')
      return [name, Number(value)] as const
    }),
  )
}
