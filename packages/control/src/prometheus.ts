import type { Resources } from '@manyhands/core'
import type { Host } from '@manyhands/host'

const RESOURCES: [keyof Resources, string, string][] = [
  ['cpus', 'cpus', 'Cores'],
  ['memoryBytes', 'memory_bytes', 'Bytes of memory'],
  ['diskBytes', 'disk_bytes', 'Bytes of disk'],
  ['gpus', 'gpus', 'GPUs'],
  ['pids', 'pids', 'Processes and threads'],
]

/** The host's state now, in Prometheus' text format. */
export function prometheusText(host: Host, version: string): string {
  const { offer } = host
  const attempts = host.attempts()
  const phases = new Map<string, number>([
    ['staging', 0],
    ['running', 0],
    ['paused', 0],
    ['collecting', 0],
  ])
  for (const { phase } of attempts) phases.set(phase, (phases.get(phase) ?? 0) + 1)
  const sum = (pick: (usage: (typeof attempts)[number]['usage']) => number) =>
    attempts.reduce((total, attempt) => total + pick(attempt.usage), 0)

  const lines: string[] = []
  const gauge = (name: string, help: string, samples: [labels: string, value: number][]) => {
    lines.push(`# HELP manyhands_${name} ${help}`, `# TYPE manyhands_${name} gauge`)
    for (const [labels, value] of samples) lines.push(`manyhands_${name}${labels} ${value}`)
  }
  gauge('info', 'Which host this is.', [
    [`{peer_id="${escapeLabel(host.peerId)}",version="${escapeLabel(version)}"}`, 1],
  ])
  gauge(
    'attempts',
    'Attempts by phase.',
    [...phases].map(([phase, count]) => [`{phase="${escapeLabel(phase)}"}`, count]),
  )
  gauge('used_cpus', 'Cores in use by attempts over the last second.', [['', sum((u) => u.cpu)]])
  gauge('used_memory_bytes', 'Bytes of memory in use by attempts.', [['', sum((u) => u.memory)]])
  gauge('used_disk_bytes', 'Bytes of disk in use by attempts.', [['', sum((u) => u.disk)]])
  for (const [key, name, what] of RESOURCES) {
    gauge(`share_${name}`, `${what} lent at most.`, [['', offer.share[key]]])
    gauge(`free_${name}`, `${what} not reserved.`, [['', offer.free[key]]])
  }
  gauge('draining', 'Whether the host takes no new work.', [['', offer.draining ? 1 : 0]])
  return `${lines.join('\n')}\n`
}

const escapeLabel = (text: string) =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
