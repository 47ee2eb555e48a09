import { formatByteSize, formatDuration, isTerminal, type Offer } from '@manyhands/core'
import type { HostAttempt, UsageTotals } from '@manyhands/host'
import { cut, type FittedColumn, fittedTable } from '../../fitted-table.ts'
import type { Output } from '../../output.ts'
import { shortPeer } from '../../table.ts'
import { phaseText } from '../attempt-table.ts'
import { bar, sparkline } from './text-graphics.ts'

/** An attempt and the cores that it used in the last samples, oldest first. */
export interface StatsRow {
  attempt: HostAttempt
  cpus: number[]
}

/** What the table is made of. */
export interface StatsScene {
  offer: Offer
  rows: StatsRow[]
  totals: UsageTotals
}

const BAR = 6
const SPARK = 16
/** Of an id, when more of it does not tell attempts apart: enough to name it in another command. */
const MIN_ID = 8

/** The table of everything that runs, as high and wide as the terminal lets it be. */
export function statsText(
  scene: StatsScene,
  output: Pick<Output, 'columns' | 'rows' | 'style'>,
): string {
  const width = output.columns
  const attempts = scene.rows.map(({ attempt }) => attempt)
  const sorted = [...scene.rows].sort(
    (a, b) => b.attempt.usage.cpu - a.attempt.usage.cpu || (a.attempt.id < b.attempt.id ? -1 : 1),
  )
  const head = [headline(scene.offer, attempts), shareLine(scene.offer, attempts)]
  const foot = [totalLine(scene.totals), transferLine(scene.totals.transfer)]
  // Two lines of the head, an empty one, the header, two of the foot, what is left out, the prompt.
  const room = Math.max(1, output.rows - head.length - 6)
  const shown = sorted.slice(0, room)
  const [header, ...lines] = fittedTable(columnsFor(attempts), shown, width)
  const body =
    sorted.length === 0
      ? ['nothing runs here']
      : [
          output.style('bold', header!),
          ...lines.map((line, index) => styled(shown[index]!.attempt, line, output)),
        ]
  const left = sorted.length - shown.length
  return [
    ...head.map((line) => cut(line, width)),
    '',
    ...body,
    ...(left > 0 ? [cut(`… and ${left} more that use less`, width)] : []),
    ...foot.map((line) => cut(line, width)),
  ].join('\n')
}

function styled(attempt: HostAttempt, line: string, output: Pick<Output, 'style'>): string {
  if (attempt.phase === 'paused') return output.style('yellow', line)
  return attempt.phase === 'running' ? line : output.style('dim', line)
}

function columnsFor(attempts: HostAttempt[]): FittedColumn<StatsRow>[] {
  const idLength = shortestPrefix(attempts.map(({ id }) => id))
  const any = (test: (attempt: HostAttempt) => boolean) => attempts.some(test)
  const column = (
    title: string,
    worth: number,
    cell: (attempt: HostAttempt) => string,
    right = true,
  ): FittedColumn<StatsRow> => ({ title, worth, right, cell: ({ attempt }) => cell(attempt) })
  return [
    column('ATTEMPT', 100, ({ id }) => id.slice(0, idLength), false),
    column('CPU', 99, ({ usage, limits }) => `${usage.cpu.toFixed(2)}/${limits.cpus}`),
    column('', 68, ({ usage, limits }) => bar(usage.cpu / limits.cpus, BAR), false),
    {
      title: 'HISTORY',
      worth: 70,
      cell: ({ attempt, cpus }) => sparkline(cpus, SPARK, attempt.limits.cpus),
    },
    column('MEMORY', 98, ({ usage }) => formatByteSize(usage.memory)),
    column('PEAK', 60, ({ usage }) => formatByteSize(usage.memoryPeak)),
    column('LIMIT', 90, ({ limits }) => formatByteSize(limits.memoryBytes)),
    column('PIDS', 55, ({ usage }) => String(usage.pids)),
    column('DISK', 65, ({ usage }) => formatByteSize(usage.disk)),
    ...(any(({ usage }) => usage.netIn + usage.netOut > 0)
      ? [column('NET IN/OUT', 50, ({ usage }) => transfer(usage.netIn, usage.netOut))]
      : []),
    ...(any(({ usage, gpuIds }) => usage.gpu !== undefined || gpuIds.length > 0)
      ? [column('GPU', 85, gpuText)]
      : []),
    column('TIME', 75, ({ usage }) => formatDuration(usage.elapsedMs)),
    column('CLIENT', 45, ({ client }) => shortPeer(client), false),
    column('JOB', 40, ({ job, jobName }) => cut(jobName === '' ? job : jobName, 20), false),
    column('TASK', 72, ({ task }) => cut(task, 16), false),
    column('PHASE', 95, phaseText, false),
  ]
}

const gpuText = ({ usage, gpuIds }: HostAttempt) =>
  usage.gpu === undefined ? `${gpuIds.length} given` : `${Math.round(usage.gpu * 100)} %`

const transfer = (into: number, out: number) => `${formatByteSize(into)}/${formatByteSize(out)}`

function headline(offer: Offer, attempts: HostAttempt[]): string {
  const count = (test: (phase: HostAttempt['phase']) => boolean) =>
    attempts.filter(({ phase }) => test(phase)).length
  const parts: [number, string][] = [
    [count((phase) => phase === 'running'), 'running'],
    [count((phase) => phase === 'paused'), 'paused'],
    [count((phase) => phase === 'offered' || phase === 'staging'), 'being prepared'],
    [count((phase) => phase === 'collecting'), 'ending'],
    [count(isTerminal), 'waiting for their client'],
  ]
  const said = parts.filter(([number]) => number > 0).map(([number, what]) => `${number} ${what}`)
  const state = offer.draining ? ' · draining, no new work' : ''
  return `host ${shortPeer(offer.peerId)}: ${said.join(', ') || 'no attempts'}${state}`
}

function shareLine({ share, free }: Offer, attempts: HostAttempt[]): string {
  const sum = (pick: (usage: HostAttempt['usage']) => number) =>
    attempts
      .filter(({ phase }) => !isTerminal(phase))
      .reduce((total, { usage }) => total + pick(usage), 0)
  const sizes = (used: number, left: number, all: number) =>
    `${formatByteSize(used)} used, ${formatByteSize(left)} free of ${formatByteSize(all)}`
  return [
    `cpu ${sum((usage) => usage.cpu).toFixed(2)} used, ${free.cpus} free of ${share.cpus}`,
    `memory ${sizes(
      sum((usage) => usage.memory),
      free.memoryBytes,
      share.memoryBytes,
    )}`,
    `disk ${sizes(
      sum((usage) => usage.disk),
      free.diskBytes,
      share.diskBytes,
    )}`,
    ...(share.gpus > 0 ? [`GPUs ${free.gpus} free of ${share.gpus}`] : []),
  ].join(' · ')
}

function totalLine({ since, clients }: UsageTotals): string {
  const sum = (pick: (client: UsageTotals['clients'][number]) => number) =>
    clients.reduce((total, client) => total + pick(client), 0)
  const ends = (['completed', 'failed', 'canceled', 'lost', 'evicted'] as const)
    .map((phase) => [phase, sum(({ ended }) => ended[phase])] as const)
    .filter(([phase, count]) => count > 0 || phase === 'completed')
    .map(([phase, count]) => `${count} ${phase}`)
  return [
    `since ${since.slice(0, 10)}: ${ends.join(', ')}`,
    `${coreHours(sum(({ cpuMs }) => cpuMs))} core-hours`,
    `${formatByteSize(sum(({ bytesIn }) => bytesIn))} in, ${formatByteSize(sum(({ bytesOut }) => bytesOut))} out`,
    `${clients.length} ${clients.length === 1 ? 'client' : 'clients'}`,
  ].join(' · ')
}

/** What came and went, of everyone, and how the quota of a day stands. */
function transferLine({ sent, received, lastDay, daily }: UsageTotals['transfer']): string {
  const day = (used: number, most: number | undefined) =>
    `${formatByteSize(used)}${most === undefined ? '' : ` of ${formatByteSize(most)}`}`
  return [
    `transfer ${formatByteSize(received)} received, ${formatByteSize(sent)} sent`,
    `last 24 hours ${day(lastDay.received, daily.download)} received, ${day(lastDay.sent, daily.upload)} sent`,
  ].join(' · ')
}

/** Core-milliseconds as core-hours, with as many digits as say something. */
export function coreHours(cpuMs: number): string {
  const hours = cpuMs / 3_600_000
  return hours.toFixed(hours < 1 ? 3 : hours < 100 ? 1 : 0)
}

/** So many characters that no two of the ids look the same. */
function shortestPrefix(ids: string[]): number {
  const longest = Math.max(MIN_ID, ...ids.map((id) => id.length))
  for (let length = MIN_ID; length < longest; length += 1) {
    if (new Set(ids.map((id) => id.slice(0, length))).size === ids.length) return length
  }
  return longest
}
