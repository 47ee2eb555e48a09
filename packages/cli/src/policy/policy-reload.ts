import { watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

/** An editor writes a file in several steps; it is read when it has been quiet for so long, ms. */
const QUIET_MS = 250

/**
 * Calls `reload` when a file changed, one call at a time. A change that leaves the bytes as they were is
 * none. The directory is watched and not the file: editors replace it.
 *
 * @returns `now`: reload whatever the bytes are; `watching`: false where the system cannot tell of changes
 */
export async function watchPolicyFile(
  path: string,
  reload: () => Promise<void>,
): Promise<{ now(): Promise<void>; watching: boolean; close(): void }> {
  const read = () => readFile(path, 'utf8').catch(() => undefined)
  let known = await read()
  let timer: NodeJS.Timeout | undefined
  let turn: Promise<void> = Promise.resolve()
  const inTurn = (force: boolean) => {
    turn = turn.then(async () => {
      const text = await read()
      // A file that is away for a moment is being replaced.
      if (!force && (text === undefined || text === known)) return
      known = text
      await reload()
    })
    return turn
  }
  const changed = () => {
    clearTimeout(timer)
    timer = setTimeout(() => void inTurn(false), QUIET_MS)
    timer.unref()
  }
  const name = basename(path)
  let watcher: ReturnType<typeof watch> | undefined
  try {
    watcher = watch(dirname(path), { persistent: false }, (_, file) => {
      if (file === null || file === name) changed()
    })
    watcher.on('error', () => watcher?.close())
  } catch {
    watcher = undefined
  }
  return {
    now: () => inTurn(true),
    watching: watcher !== undefined,
    close() {
      clearTimeout(timer)
      watcher?.close()
    },
  }
}
