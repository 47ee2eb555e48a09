import { formatByteSize, formatDuration } from '@manyhands/core'
import type { HostAttempt } from '@manyhands/host'
import { formatTable, shortPeer } from '../table.ts'

/** What runs on this computer, for its owner. */
export function attemptTable(attempts: HostAttempt[]): string {
  return formatTable(
    ['ID', 'PHASE', 'SINCE', 'CPU', 'MEMORY', 'CLIENT', 'JOB', 'TASK', 'IMAGE'],
    attempts.map((attempt) => [
      attempt.id,
      attempt.reason === undefined ? attempt.phase : `${attempt.phase} (${attempt.reason})`,
      formatDuration(attempt.sinceMs),
      `${attempt.usage.cpu.toFixed(2)}/${attempt.limits.cpus}`,
      `${formatByteSize(attempt.usage.memory)}/${formatByteSize(attempt.limits.memoryBytes)}`,
      shortPeer(attempt.client),
      attempt.jobName === '' ? attempt.job : attempt.jobName,
      attempt.task,
      attempt.image,
    ]),
  )
}
