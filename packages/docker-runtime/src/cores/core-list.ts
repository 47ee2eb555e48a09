import { readFileSync } from 'node:fs'

/** The kernel's unit of processor time for programs, on every architecture that Linux runs on now. */
const TICK_MS = 10

/** A logical core of this computer. */
export interface Core {
  id: number
  /** Against the fastest, 0 to 1; 1 where the kernel does not tell. */
  speed: number
  /** The same for cores that share a physical one. */
  physical: string
}

/** The cores of this computer that this process may use; none where that cannot be read. */
export function coresHere(root = '/'): Core[] {
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read(`${root}proc/self/status`) ?? '')?.[1]
  if (allowed === undefined) return []
  const cores = idsIn(allowed).map((id) => {
    const directory = `${root}sys/devices/system/cpu/cpu${id}`
    const [first] = idsIn(read(`${directory}/topology/thread_siblings_list`) ?? `${id}`)
    const speed =
      read(`${directory}/cpu_capacity`) ?? read(`${directory}/cpufreq/cpuinfo_max_freq`) ?? '1'
    return { id, speed: Number(speed) || 1, physical: String(first ?? id) }
  })
  const fastest = Math.max(1, ...cores.map(({ speed }) => speed))
  return cores.map((core) => ({ ...core, speed: core.speed / fastest }))
}

/** What every core has worked, ms, by its number. */
export function workedMs(root = '/'): Map<number, number> {
  const lines = (read(`${root}proc/stat`) ?? '').matchAll(/^cpu(\d+) (.*)$/gm)
  return new Map(
    [...lines].map(([, id, columns]) => {
      const [user, nice, system, , , irq, softirq] = columns!.split(' ').map(Number)
      return [Number(id), (user! + nice! + system! + irq! + softirq!) * TICK_MS]
    }),
  )
}

/** Numbers of a list as the kernel writes it: `0-3,8`. */
export function idsIn(list: string): number[] {
  return list
    .trim()
    .split(',')
    .filter((part) => /^\d+(-\d+)?$/.test(part))
    .flatMap((part) => {
      const [from, to = from] = part.split('-').map(Number) as [number, number?]
      return Array.from({ length: Math.min(4096, Math.max(0, to! - from + 1)) }, (_, i) => from + i)
    })
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').trim()
  } catch {
    return undefined
  }
}
