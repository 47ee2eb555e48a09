import type { ActiveTask, JobProgress, JobSummary } from '@manyhands/client'
import { formatByteSize, formatDuration, type TaskResult } from '@manyhands/core'
import type { Output } from '../output.ts'
import { clean } from '../table.ts'
import { percent, rateText } from '../transfer-text.ts'

/** A piece of the line; of those that do not all fit, the ones that are worth least go. */
interface Piece {
  text: string
  worth: number
}

/** Progress in one line, at most `columns` wide. */
export function progressText(progress: JobProgress, hosts: number, columns: number): string {
  const { unit, total, completed, failed, canceled, rate, eta } = progress
  const over = completed + failed + canceled
  const pieces: Piece[] = [
    ...(['image', 'inputs', 'outputs'] as const).flatMap((phase) => transfers(progress, phase)),
    {
      text: `${over}${total === undefined ? '' : `/${total}`} ${plural(unit, total ?? over)}`,
      worth: 100,
    },
    ...(total === undefined || total === 0 ? [] : [{ text: percent(over, total), worth: 50 }]),
    ...(failed === 0 ? [] : [{ text: `${failed} failed`, worth: 90 }]),
    ...(rate === 0
      ? []
      : [{ text: `${rate >= 10 ? Math.round(rate) : rate.toFixed(1)}/s`, worth: 40 }]),
    { text: plural(`${hosts} host`, hosts), worth: 30 },
    ...(eta === undefined || eta === 0 ? [] : [{ text: leftText(eta), worth: 95 }]),
  ]
  const text = fitted(pieces, columns - 1)
  const room = Math.min(30, columns - text.length - 4)
  const bar = total === undefined || total === 0 || room < 5 ? '' : drawBar(over / total, room)
  return `${bar}${text}`.slice(0, columns - 1)
}

function fitted(pieces: Piece[], width: number): string {
  const text = pieces.map((piece) => piece.text).join(' · ')
  if (text.length <= width || pieces.length === 1) return text
  const least = pieces.reduce((low, piece) => (piece.worth < low.worth ? piece : low))
  return fitted(
    pieces.filter((piece) => piece !== least),
    width,
  )
}

/** What is transferred in a phase, over all hosts. */
function transfers({ active, eta }: JobProgress, phase: ActiveTask['phase']): Piece[] {
  const seen = new Map<string, ActiveTask>()
  for (const task of active) {
    if (task.phase !== phase || task.bytes === undefined) continue
    // Tasks at one host wait for one transfer; outputs are each task's own.
    const key = phase === 'outputs' ? task.attempt : `${task.host} ${task.total}`
    if ((seen.get(key)?.bytes ?? -1) < task.bytes) seen.set(key, task)
  }
  if (seen.size === 0) return []
  const all = [...seen.values()]
  const sum = (of: 'bytes' | 'total' | 'rate') =>
    all.reduce((total, task) => total + (task[of] ?? 0), 0)
  const hosts = new Set(all.map(({ host }) => host)).size
  // The job's own end has this in it, once that is known.
  const untilAll = eta === undefined && all.every(({ etaMs }) => etaMs !== undefined)
  const leftMs = Math.max(...all.map(({ etaMs }) => etaMs ?? 0))
  const text = [
    phase,
    ...(all.every(({ total }) => total !== undefined)
      ? [percent(sum('bytes'), sum('total'))]
      : [formatByteSize(sum('bytes'))]),
    ...(hosts > 1 ? [`${hosts} hosts`] : []),
    ...(sum('rate') === 0 ? [] : [rateText(sum('rate'))]),
    ...(untilAll && leftMs > 0 ? [leftText(leftMs)] : []),
  ].join(' ')
  return [{ text, worth: phase === 'outputs' ? 60 : 80 }]
}

const leftText = (ms: number) => `${formatDuration(Math.max(1000, ms))} left`

function drawBar(share: number, width: number): string {
  const full = Math.floor(Math.min(1, share) * width)
  return `[${'#'.repeat(full)}${'-'.repeat(width - full)}] `
}

/** Failures that are shown; a job of thousands usually fails for one reason. */
const SHOWN_FAILURES = 10
const SHOWN_STDERR_LINES = 5

/** How a job ended, for people. */
export function summaryText(
  summary: JobSummary,
  unit: string,
  failures: TaskResult[],
  output: Output,
): string {
  const { counts, phase } = summary
  const lines = failures.slice(0, SHOWN_FAILURES).flatMap((result) => failureLines(result, output))
  if (counts.failed > SHOWN_FAILURES)
    lines.push(`… and ${counts.failed - SHOWN_FAILURES} more failed`)
  if (summary.error !== undefined && !['JOB_FAILED', 'CANCELED'].includes(summary.error.code)) {
    lines.push(`${output.style('red', 'error')} ${summary.error.code}: ${summary.error.message}`)
    lines.push(`hint: ${summary.error.hint}`)
  }
  const numbers = [
    `${counts.completed} ${plural(unit, counts.completed)} completed`,
    ...(counts.failed === 0 ? [] : [`${counts.failed} failed`]),
    ...(counts.canceled === 0 ? [] : [`${counts.canceled} canceled`]),
    `${formatByteSize(summary.bytesUp)} sent`,
    `${formatByteSize(summary.bytesDown)} received`,
  ]
  const style = phase === 'completed' ? 'green' : 'red'
  lines.push(
    `${output.style(style, phase)} in ${formatDuration(summary.durationMs)}: ${numbers.join(', ')}`,
  )
  return lines.join('\n')
}

function failureLines(result: TaskResult, output: Output): string[] {
  const { key, error, stderrTail } = result
  const what =
    error === undefined ? `exit code ${result.exitCode}` : `${error.code}: ${error.message}`
  const tail = stderrTail.trimEnd().split('\n').slice(-SHOWN_STDERR_LINES).map(clean)
  return [
    `${output.style('red', 'failed')} ${clean(key)}: ${clean(what)}`,
    ...(stderrTail.trim() === '' ? [] : tail.map((line) => `    ${line}`)),
    ...(error?.hint === undefined ? [] : [`    hint: ${clean(error.hint)}`]),
  ]
}

/** How many failures a caller has to keep for the summary. */
export const KEPT_FAILURES = SHOWN_FAILURES

const plural = (unit: string, count: number) => (count === 1 ? unit : `${unit}s`)
