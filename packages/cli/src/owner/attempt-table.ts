import { formatByteSize, formatDuration } from '@manyhands/core'
import type { HostAttempt } from '@manyhands/host'
import { formatTable, shortPeer } from '../table.ts'
import { transferText } from '../transfer-text.ts'
import { imageText } from './image-text.ts'

/** What runs on this computer, for its owner. */
export function attemptTable(attempts: HostAttempt[]): string {
  return formatTable(
    ['ID', 'PHASE', 'SINCE', 'CPU', 'MEMORY', 'CLIENT', 'JOB', 'TASK', 'IMAGE'],
    attempts.map((attempt) => [
      attempt.id,
      phaseText(attempt),
      formatDuration(attempt.sinceMs),
      `${attempt.usage.cpu.toFixed(2)}/${attempt.limits.cpus}`,
      `${formatByteSize(attempt.usage.memory)}/${formatByteSize(attempt.limits.memoryBytes)}`,
      shortPeer(attempt.client),
      attempt.jobName === '' ? attempt.job : attempt.jobName,
      attempt.task,
      imageText(attempt),
    ]),
  )
}

/** Its phase, and what there is to say about it. */
export function phaseText({ phase, reason, transfer }: HostAttempt): string {
  const more = reason ?? (transfer === undefined ? undefined : transferText(transfer))
  return more === undefined ? phase : `${phase} (${more})`
}
