import { readdirSync, readFileSync } from 'node:fs'

/** Milliseconds on a processor of all threads that a process has now; finer than `times` are. */
export function cpuMsOf(pid: number): number {
  let ns = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const [ran] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')
      ns += Number(ran)
    } catch {
      // It ended meanwhile.
    }
  }
  return ns / 1e6
}

/** Resident bytes of a process now. */
export function rssOf(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? 0) * 1024
}
