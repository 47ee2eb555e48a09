import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  collectGarbage,
  type GcOptions,
  type GcReport,
  type GcRoom,
  ManyhandsError,
  readJournalCopy,
  tidyIdleStore,
} from '@manyhands/core'
import { heldByJournal } from './held-artifacts.ts'
import { type HostJournal, openHostJournal } from './host-journal.ts'

/**
 * Tidies up the state directory of a host that does not run: artifacts that no attempt and no result needs,
 * what cut transfers left, and with `keepBytes` inputs that are kept for later jobs. A dry run changes
 * nothing on the disk. Running hosts have {@link Host.gc}.
 *
 * @param rooms - other rooms of that directory that are asked as well
 * @throws CONFIG_INVALID where there is no state of a host; STATE_LOCKED naming the process that has it open
 */
export async function tidyHostState(
  state: string,
  options: GcOptions = {},
  rooms: GcRoom[] = [],
): Promise<GcReport> {
  const dir = resolve(state)
  const path = join(dir, 'host.db')
  if ((await stat(path).catch(() => undefined)) === undefined) {
    throw new ManyhandsError('CONFIG_INVALID', `there is no state of a host in ${dir}`, {
      hint: 'Name the directory with --state.',
    })
  }
  const tidy = async (journal: HostJournal) => {
    const holders = heldByJournal(journal.attempts())
    const idle = { dir: join(dir, 'store'), holders, reasonOf: (reason: string) => reason }
    const artifacts: GcRoom = {
      room: 'artifacts',
      collectGarbage: (asked) => tidyIdleStore(idle, asked),
    }
    return await collectGarbage([artifacts, ...rooms], options)
  }
  if (options.dryRun) return await readJournalCopy(path, (copy) => withJournal(copy, tidy))
  return await withJournal(path, tidy)
}

async function withJournal<Value>(
  path: string,
  work: (journal: HostJournal) => Promise<Value>,
): Promise<Value> {
  const journal = openHostJournal(path, () => {
    throw new ManyhandsError('STATE_CORRUPT', `${path} names no host`)
  })
  try {
    return await work(journal)
  } finally {
    await journal.close()
  }
}
