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
import { checkpointHolder, inputsHolder, reasonOf } from './held-artifacts.ts'
import { tidyIdleShelf } from './images/layer-shelf.ts'
import { hasShelf } from './images/shelf-index.ts'
import { type ClientJournal, openClientJournal } from './journal/client-journal.ts'

/**
 * Tidies up the state directory of a client that does not run, as {@link Client.gc} does in one that runs. A
 * dry run changes nothing on the disk.
 *
 * @param rooms - other rooms of that directory that are asked as well
 * @throws CONFIG_INVALID where there is no state of a client; STATE_LOCKED naming the process that has it open
 */
export async function tidyClientState(
  state: string,
  options: GcOptions = {},
  rooms: GcRoom[] = [],
): Promise<GcReport> {
  const dir = resolve(state)
  const path = join(dir, 'client.db')
  if ((await stat(path).catch(() => undefined)) === undefined) {
    throw new ManyhandsError('CONFIG_INVALID', `there is no state of a client in ${dir}`, {
      hint: 'Name the directory with --state.',
    })
  }
  const tidy = async (journal: ClientJournal) => {
    const holders = new Map<string, string[]>()
    const hold = (root: string, holder: string) => {
      holders.set(root, [...(holders.get(root) ?? []), holder])
    }
    for (const { job, root } of journal.results.outputs()) hold(root, job)
    for (const { job, key, root } of journal.checkpoints.open()) {
      if (root !== undefined) hold(root, checkpointHolder(job, key))
    }
    // Jobs that are not over go on in the next process.
    for (const { id } of journal.jobs.open()) {
      for (const { root } of journal.jobs.inputs(id)) hold(root, inputsHolder(id))
      // Hosts may still fetch what they begin with.
      for (const { key, live } of journal.tasks.out(id)) {
        for (const [, , , restore] of live) {
          if (restore) hold(restore.root, checkpointHolder(id, key))
        }
      }
    }
    const artifacts: GcRoom = {
      room: 'artifacts',
      collectGarbage: (asked) =>
        tidyIdleStore({ dir: join(dir, 'store'), holders, reasonOf }, asked),
    }
    const layers = join(dir, 'images')
    const images: GcRoom = {
      room: 'images',
      collectGarbage: (asked) => tidyIdleShelf(layers, asked),
    }
    const own = (await hasShelf(layers)) ? [artifacts, images] : [artifacts]
    return await collectGarbage([...own, ...rooms], options)
  }
  if (options.dryRun) return await readJournalCopy(path, (copy) => withJournal(copy, tidy))
  return await withJournal(path, tidy)
}

async function withJournal<Value>(
  path: string,
  work: (journal: ClientJournal) => Promise<Value>,
): Promise<Value> {
  const journal = openClientJournal(path, { durable: true })
  try {
    return await work(journal)
  } finally {
    await journal.close()
  }
}
