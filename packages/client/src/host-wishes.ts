import type { Lane } from './fair-turns.ts'
import type { HostRecord } from './host-record.ts'
import { costOf } from './host-score.ts'

/**
 * Hosts that a job would have beside those that it is connected to, the best first, as far as tasks wait:
 * they are known by their offers alone so far.
 */
export function wantedHosts({ job, candidates }: Lane): HostRecord[] {
  const { tasks, checking } = job
  const checks = checking?.replicas.ready.length ?? 0
  const waiting = tasks.ready.length + checks
  const cut = (tasks.cutting?.waiting ?? 0) > 0
  if (waiting === 0 && !cut) return []
  const { base, hosts } = job.document
  const open = candidates.filter(
    (host) => !host.connected && host.present && !host.offer.draining && host.fits(base.resources),
  )
  if (open.length === 0) return []
  const more = (hosts.max ?? Number.POSITIVE_INFINITY) - tasks.attemptsAt.size
  const cost = new Map(open.map((host) => [host, costOf(job, undefined, host)]))
  const wanted: HostRecord[] = []
  let room = 0
  for (const host of open.sort((a, b) => cost.get(a)! - cost.get(b)!)) {
    if (wanted.length >= more || (!cut && room >= waiting)) break
    wanted.push(host)
    const slots = Math.floor(host.free.cpus / Math.max(base.resources.cpus, 0.01))
    room += Math.min(slots, hosts.perHost ?? Number.POSITIVE_INFINITY)
  }
  return wanted
}
