import { isTerminal, type PeerTransfer, type Resources, type TransferTotals } from '@manyhands/core'
import type { ClientTotal, Host, HostAttempt } from '@manyhands/host'
import { CONTROL_LIMITS } from './control-limits.ts'
import { MetricsText, type Series } from './prometheus-format.ts'
import { networkMetrics } from './prometheus-network.ts'

const RESOURCES: [keyof Resources, string, string][] = [
  ['cpus', 'cpus', 'Cores'],
  ['memoryBytes', 'memory_bytes', 'Bytes of memory'],
  ['diskBytes', 'disk_bytes', 'Bytes of disk'],
  ['gpus', 'gpus', 'GPUs'],
  ['pids', 'pids', 'Processes and threads'],
]

/**
 * The host's state now, in Prometheus' text format. Series are bounded: of more attempts, clients or
 * jobs than `CONTROL_LIMITS.metricSeries` the rest is left out, and `manyhands_series_omitted` says how
 * many.
 */
export function prometheusText(host: Host, version: string): string {
  const text = new MetricsText()
  const attempts = host.attempts()
  hostMetrics(text, host, version, attempts)

  const living = attempts.filter(({ phase }) => !isTerminal(phase))
  const totals = host.totals()
  networkMetrics(text, host)
  const shown = <Item>(items: Item[]) => items.slice(0, CONTROL_LIMITS.metricSeries)
  attemptMetrics(text, shown(living))
  endedMetric(text, totals.clients)
  totalMetrics(text, 'client', shown(totals.clients), ({ client }) => ({ client }))
  totalMetrics(text, 'job', shown(totals.jobs), ({ client, job, jobName }) => ({
    client,
    job,
    name: jobName,
  }))
  transferMetrics(text, totals.transfer, shown(totals.transfer.peers))
  const omitted = (items: unknown[]) => Math.max(0, items.length - CONTROL_LIMITS.metricSeries)
  text.gauge('series_omitted', 'Attempts, clients, jobs and peers that this answer leaves out.', [
    [{ of: 'attempts' }, omitted(living)],
    [{ of: 'clients' }, omitted(totals.clients)],
    [{ of: 'jobs' }, omitted(totals.jobs)],
    [{ of: 'peers' }, omitted(totals.transfer.peers)],
  ])
  return text.toString()
}

function hostMetrics(
  text: MetricsText,
  host: Host,
  version: string,
  attempts: HostAttempt[],
): void {
  const { offer } = host
  const phases = new Map<string, number>([
    ['staging', 0],
    ['running', 0],
    ['paused', 0],
    ['collecting', 0],
  ])
  for (const { phase } of attempts) phases.set(phase, (phases.get(phase) ?? 0) + 1)
  const sum = (pick: (usage: HostAttempt['usage']) => number): Series[] => [
    [{}, attempts.reduce((total, attempt) => total + pick(attempt.usage), 0)],
  ]
  text.gauge('info', 'Which host this is.', [[{ peer_id: host.peerId, version }, 1]])
  text.gauge(
    'attempts',
    'Attempts by phase.',
    [...phases].map(([phase, count]) => [{ phase }, count]),
  )
  text.gauge(
    'used_cpus',
    'Cores in use by attempts over the last second.',
    sum((u) => u.cpu),
  )
  text.gauge(
    'used_memory_bytes',
    'Bytes of memory in use by attempts.',
    sum((u) => u.memory),
  )
  text.gauge(
    'used_disk_bytes',
    'Bytes of disk in use by attempts.',
    sum((u) => u.disk),
  )
  for (const [key, name, what] of RESOURCES) {
    text.gauge(`share_${name}`, `${what} lent at most.`, [[{}, offer.share[key]]])
    text.gauge(`free_${name}`, `${what} not reserved.`, [[{}, offer.free[key]]])
  }
  text.gauge('draining', 'Whether the host takes no new work.', [[{}, offer.draining ? 1 : 0]])
}

function attemptMetrics(text: MetricsText, attempts: HostAttempt[]): void {
  const each = (pick: (attempt: HostAttempt) => number | undefined): Series[] =>
    attempts.flatMap((attempt) => {
      const value = pick(attempt)
      const { id, client, job } = attempt
      return value === undefined ? [] : [[{ attempt: id, client, job }, value] as Series]
    })
  const gauge = (name: string, help: string, pick: (attempt: HostAttempt) => number | undefined) =>
    text.gauge(`attempt_${name}`, help, each(pick))
  gauge('cpus', 'Cores in use over the last second.', ({ usage }) => usage.cpu)
  gauge('limit_cpus', 'Cores that it may use.', ({ limits }) => limits.cpus)
  gauge('memory_bytes', 'Bytes of memory in use.', ({ usage }) => usage.memory)
  gauge('memory_peak_bytes', 'Most bytes of memory there were.', ({ usage }) => usage.memoryPeak)
  gauge('limit_memory_bytes', 'Bytes of memory it may use.', ({ limits }) => limits.memoryBytes)
  gauge('pids', 'Processes and threads.', ({ usage }) => usage.pids)
  gauge('disk_bytes', 'Bytes of disk in use.', ({ usage }) => usage.disk)
  gauge('gpu_ratio', 'Share of its GPUs in use, 0 to 1.', ({ usage }) => usage.gpu)
  gauge('paused', 'Whether it is paused.', ({ phase }) => (phase === 'paused' ? 1 : 0))
  const counter = (name: string, help: string, pick: (attempt: HostAttempt) => number) =>
    text.counter(`attempt_${name}`, help, each(pick))
  counter('cpu_seconds', 'Core-seconds used.', ({ usage }) => usage.cpuMs / 1000)
  counter('received_bytes', 'Bytes its network took in.', ({ usage }) => usage.netIn)
  counter('sent_bytes', 'Bytes its network sent out.', ({ usage }) => usage.netOut)
}

function transferMetrics(
  text: MetricsText,
  { sent, received, lastDay, daily }: TransferTotals,
  peers: PeerTransfer[],
): void {
  const both = (up: number | undefined, down: number | undefined, labels = {}): Series[] =>
    (
      [
        ['up', up],
        ['down', down],
      ] as const
    ).flatMap(([direction, bytes]) =>
      bytes === undefined ? [] : [[{ ...labels, direction }, bytes] as Series],
    )
  text.counter('transfer_bytes', 'Bytes of content sent and received.', both(sent, received))
  text.counter(
    'transfer_peer_bytes',
    'Bytes of content sent to and received from a peer.',
    peers.flatMap((peer) => both(peer.sent, peer.received, { peer: peer.peer })),
  )
  text.gauge(
    'transfer_day_bytes',
    'Bytes of content of the last 24 hours.',
    both(lastDay.sent, lastDay.received),
  )
  text.gauge(
    'transfer_day_limit_bytes',
    'Bytes of content that its owner allows in 24 hours.',
    both(daily.upload, daily.download),
  )
}

function endedMetric(text: MetricsText, clients: ClientTotal[]): void {
  const ended = { completed: 0, failed: 0, canceled: 0, lost: 0, evicted: 0 }
  for (const client of clients) {
    for (const phase of Object.keys(ended) as (keyof typeof ended)[]) {
      ended[phase] += client.ended[phase]
    }
  }
  text.counter(
    'attempts_ended',
    'Attempts that are over, by how they ended.',
    Object.entries(ended).map(([phase, count]) => [{ phase }, count]),
  )
}

function totalMetrics<Total extends ClientTotal>(
  text: MetricsText,
  kind: 'client' | 'job',
  totals: Total[],
  labels: (total: Total) => Record<string, string>,
): void {
  const each = (pick: (total: Total) => number): Series[] =>
    totals.map((total) => [labels(total), pick(total)])
  text.gauge(
    `${kind}_attempts`,
    `Attempts of the ${kind} that are not over.`,
    each((total) => total.live),
  )
  text.gauge(
    `${kind}_cpus`,
    `Cores that the ${kind} uses now.`,
    each((total) => total.cpu),
  )
  text.gauge(
    `${kind}_memory_bytes`,
    `Bytes of memory that the ${kind} uses now.`,
    each((total) => total.memory),
  )
  const counter = (name: string, help: string, pick: (total: Total) => number) =>
    text.counter(`${kind}_${name}`, help, each(pick))
  counter('cpu_seconds', `Core-seconds that the ${kind} used.`, ({ cpuMs }) => cpuMs / 1000)
  counter('run_seconds', `Seconds in sandboxes of the ${kind}.`, ({ runMs }) => runMs / 1000)
  counter('received_bytes', `Bytes of inputs received for the ${kind}.`, ({ bytesIn }) => bytesIn)
  counter('sent_bytes', `Bytes of outputs sent for the ${kind}.`, ({ bytesOut }) => bytesOut)
  text.counter(
    `${kind}_attempts_ended`,
    `Attempts of the ${kind} that are over, by how they ended.`,
    totals.flatMap((total) =>
      Object.entries(total.ended).map(
        ([phase, count]): Series => [{ ...labels(total), phase }, count],
      ),
    ),
  )
}
