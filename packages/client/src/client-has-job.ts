import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { readJournalCopy } from '@manyhands/core'
import { openClientJournal } from './journal/client-journal.ts'

/**
 * Whether the state directory of a client that does not run has a job. Changes nothing there.
 *
 * @throws STATE_LOCKED naming the process that has it open, STATE_CORRUPT
 */
export async function clientHasJob(state: string, job: string): Promise<boolean> {
  const path = join(resolve(state), 'client.db')
  if ((await stat(path).catch(() => undefined)) === undefined) return false
  return await readJournalCopy(path, async (copy) => {
    const journal = openClientJournal(copy, { durable: true })
    try {
      return journal.jobs.get(job) !== undefined
    } finally {
      await journal.close()
    }
  })
}
