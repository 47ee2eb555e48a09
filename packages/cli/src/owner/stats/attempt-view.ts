import { formatByteSize, formatDuration } from '@manyhands/core'
import type { HostAttempt, UsageSample } from '@manyhands/host'
import { cut } from '../../fitted-table.ts'
import type { Output } from '../../output.ts'
import { clean } from '../../table.ts'
import { phaseText } from '../attempt-table.ts'
import { imageText } from '../image-text.ts'
import { chart } from './text-graphics.ts'

/** One attempt: what it is, what it uses, and how that went. */
export function attemptText(
  attempt: HostAttempt,
  history: UsageSample[],
  output: Pick<Output, 'columns' | 'style'>,
): string {
  const width = output.columns
  const { usage, limits } = attempt
  const facts: [string, string][] = [
    ['attempt', attempt.id],
    ['phase', phaseText(attempt)],
    ['client', attempt.client],
    ['job', `${attempt.jobName === '' ? attempt.job : attempt.jobName}, task ${attempt.task}`],
    ['image', `${imageText(attempt)} (${attempt.runtime})`],
    ['runs since', `${attempt.since}, ${formatDuration(usage.elapsedMs)} in its sandbox`],
    [
      'cpu',
      `${usage.cpu.toFixed(2)} of ${limits.cpus} cores, ${(usage.cpuMs / 1000).toFixed(1)} s used`,
    ],
    [
      'memory',
      `${formatByteSize(usage.memory)} of ${formatByteSize(limits.memoryBytes)}, peak ${formatByteSize(usage.memoryPeak)}`,
    ],
    ['processes', `${usage.pids} of ${limits.pids}`],
    ['disk', `${formatByteSize(usage.disk)} of ${formatByteSize(limits.diskBytes)}`],
    ['network', `${formatByteSize(usage.netIn)} in, ${formatByteSize(usage.netOut)} out`],
    ...(attempt.gpuIds.length === 0 && usage.gpu === undefined
      ? []
      : ([
          [
            'gpu',
            `${usage.gpu === undefined ? 'use unknown' : `${Math.round(usage.gpu * 100)} %`} of ${attempt.gpuIds.join(', ')}`,
          ],
        ] as [string, string][])),
  ]
  const lines = facts.map(([name, text]) => cut(`${name.padEnd(12)}${clean(text)}`, width))
  if (history.length < 2) return lines.join('\n')
  const spanMs = history.at(-1)!.elapsedMs - history[0]!.elapsedMs
  const drawn = (
    title: string,
    values: number[],
    most: number,
    label: (value: number) => string,
  ) => [
    '',
    output.style('bold', `${title}, the last ${formatDuration(spanMs)}`),
    ...chart(values, { width: Math.min(width, 100), height: 5, most, label }),
  ]
  return [
    ...lines,
    ...drawn(
      'cores',
      history.map(({ cpu }) => cpu),
      limits.cpus,
      (value) => value.toFixed(1),
    ),
    ...drawn(
      'memory',
      history.map(({ memory }) => memory),
      limits.memoryBytes,
      formatByteSize,
    ),
  ].join('\n')
}
