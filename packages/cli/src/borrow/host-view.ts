import type { HostState } from '@manyhands/client'
import { formatByteSize, formatDuration } from '@manyhands/core'
import { type FittedColumn, fittedTable } from '../fitted-table.ts'
import type { Output } from '../output.ts'
import { shortPeer } from '../table.ts'
import { rateText } from '../transfer-text.ts'

/** Below this a rate is only what keeps a connection alive, bytes a second. */
const STILL = 1024

const COLUMNS: FittedColumn<HostState>[] = [
  { title: 'PEER', worth: 10, cell: ({ offer }) => shortPeer(offer.peerId) },
  { title: 'NAME', worth: 5, cell: ({ offer }) => offer.labels['name'] ?? '' },
  { title: 'LINK', worth: 9, cell: ({ connection }) => connection ?? 'known' },
  { title: 'RTT', worth: 8, right: true, cell: ({ rttMs }) => rttText(rttMs) },
  { title: 'DOWN', worth: 7, right: true, cell: (one) => movingText(one.bytesInPerSecond) },
  { title: 'UP', worth: 6, right: true, cell: (one) => movingText(one.bytesOutPerSecond) },
  { title: 'AGE', worth: 4, right: true, cell: ({ ageMs }) => ageText(ageMs) },
  {
    title: 'CPUS',
    worth: 7,
    right: true,
    cell: ({ offer }) => `${offer.free.cpus}/${offer.cpus}`,
  },
  {
    title: 'MEMORY',
    worth: 3,
    right: true,
    cell: ({ offer }) =>
      `${formatByteSize(offer.free.memoryBytes)}/${formatByteSize(offer.memory)}`,
  },
  { title: 'TASKS', worth: 6, right: true, cell: ({ offer }) => String(offer.attempts) },
  {
    title: 'RUNTIMES',
    worth: 2,
    cell: ({ offer }) =>
      offer.runtimes.map(({ name }) => name).join(',') + (offer.draining ? ' (draining)' : ''),
  },
]

/** The hosts that are known, on a terminal: those that are connected come first, the nearest of them. */
export function hostsText(
  states: HostState[],
  { columns, rows, style }: Pick<Output, 'columns' | 'rows' | 'style'>,
): string {
  const connected = states.filter(({ connection }) => connection !== undefined)
  const summary = `${states.length} hosts, ${connected.length} connected`
  const sorted = [...states].sort(byNearness)
  // The summary, the header, and a line for those that do not fit.
  const room = Math.max(1, rows - 3)
  const [header, ...lines] = fittedTable(COLUMNS, sorted.slice(0, room), columns)
  const more = sorted.length - room
  return [
    summary,
    style('bold', header ?? ''),
    ...lines,
    ...(more > 0 ? [`… and ${more} more`] : []),
  ].join('\n')
}

const far = ({ connection, rttMs }: HostState) =>
  connection === undefined ? Number.MAX_VALUE : (rttMs ?? Number.MAX_SAFE_INTEGER)

const byNearness = (a: HostState, b: HostState) =>
  far(a) - far(b) || a.offer.peerId.localeCompare(b.offer.peerId)

function rttText(ms: number | undefined): string {
  if (ms === undefined) return ''
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`
}

const movingText = (rate: number) => (rate < STILL ? '' : rateText(rate))
const ageText = (ms: number) => formatDuration(Math.max(1000, Math.round(ms / 1000) * 1000))
