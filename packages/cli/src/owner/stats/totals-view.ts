import { formatByteSize, formatDuration } from '@manyhands/core'
import type { ClientTotal, JobTotal, UsageTotals } from '@manyhands/host'
import { cut, type FittedColumn, fittedTable } from '../../fitted-table.ts'
import type { Output } from '../../output.ts'
import { shortPeer } from '../../table.ts'
import { coreHours } from './stats-view.ts'

export type TotalKind = 'client' | 'job'

/** The totals of clients or of jobs, who used most first. */
export function sortedTotals(totals: UsageTotals, by: TotalKind): (ClientTotal | JobTotal)[] {
  return [...(by === 'client' ? totals.clients : totals.jobs)].sort((a, b) => b.cpuMs - a.cpuMs)
}

/** As a table; all of it where no height is given. */
export function totalsText(
  totals: UsageTotals,
  by: TotalKind,
  output: Pick<Output, 'columns' | 'style'>,
  height = Number.POSITIVE_INFINITY,
): string {
  const all = sortedTotals(totals, by)
  const shown = all.slice(0, Math.max(1, height - 4))
  const column = (
    title: string,
    worth: number,
    cell: (total: ClientTotal) => string | number,
    right = true,
  ): FittedColumn<ClientTotal | JobTotal> => ({
    title,
    worth,
    right,
    cell: (total) => String(cell(total)),
  })
  const columns = [
    ...(by === 'job' ? [column('JOB', 100, (total) => cut(jobName(total), 24), false)] : []),
    column('CLIENT', by === 'client' ? 100 : 60, ({ client }) => shortPeer(client), false),
    column('LIVE', 90, ({ live }) => live),
    column('CPU', 95, ({ cpu }) => cpu.toFixed(2)),
    column('MEMORY', 94, ({ memory }) => formatByteSize(memory)),
    column('CORE-HOURS', 99, ({ cpuMs }) => coreHours(cpuMs)),
    column('RAN', 70, ({ runMs }) => formatDuration(runMs)),
    column('COMPLETED', 85, ({ ended }) => ended.completed),
    column('FAILED', 84, ({ ended }) => ended.failed),
    column('CANCELED', 50, ({ ended }) => ended.canceled),
    column('LOST', 49, ({ ended }) => ended.lost),
    column('EVICTED', 83, ({ ended }) => ended.evicted),
    column('RECEIVED', 65, ({ bytesIn }) => formatByteSize(bytesIn)),
    column('SENT', 64, ({ bytesOut }) => formatByteSize(bytesOut)),
  ]
  if (all.length === 0) return `nobody has used this host since ${totals.since}`
  const [header, ...lines] = fittedTable(columns, shown, output.columns)
  const left = all.length - shown.length
  return [
    output.style('bold', header!),
    ...lines,
    ...(left > 0 ? [`… and ${left} more that used less`] : []),
    cut(`since ${totals.since}`, output.columns),
  ].join('\n')
}

const jobName = (total: ClientTotal | JobTotal) =>
  'job' in total ? (total.jobName === '' ? total.job : total.jobName) : ''
