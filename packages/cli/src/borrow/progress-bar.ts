import type { JobProgress, JobSummary } from '@manyhands/client'
import { formatByteSize, formatDuration, type TaskResult } from '@manyhands/core'
import type { Output } from '../output.ts'
import { clean } from '../table.ts'

/** Progress in one line, at most `columns` wide. */
export function progressText(progress: JobProgress, hosts: number, columns: number): string {
  const { unit, total, completed, failed, canceled, rate, eta } = progress
  const over = completed + failed + canceled
  const parts = [
    `${over}${total === undefined ? '' : `/${total}`} ${plural(unit, total ?? over)}`,
    ...(total === undefined || total === 0 ? [] : [`${Math.floor((100 * over) / total)} %`]),
    ...(failed === 0 ? [] : [`${failed} failed`]),
    ...(rate === 0 ? [] : [`${rate >= 10 ? Math.round(rate) : rate.toFixed(1)}/s`]),
    plural(`${hosts} host`, hosts),
    ...(eta === undefined || eta === 0 ? [] : [`${formatDuration(eta)} left`]),
  ]
  const text = parts.join(' · ')
  const room = Math.min(30, columns - text.length - 4)
  const bar = total === undefined || total === 0 || room < 5 ? '' : drawBar(over / total, room)
  return `${bar}${text}`.slice(0, columns - 1)
}

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
