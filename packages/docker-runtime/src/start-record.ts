import { setTimeout as delay } from 'node:timers/promises'
import { getSystemErrorMap } from 'node:util'
import { ManyhandsError, type RuntimeExit } from '@manyhands/core'
import type { EndRecord } from './init/end-record.ts'

/** The record is there before the engine answers, unless the computer is busy. */
const STEPS_MS = [1, 2, 5, 10, 20, 50]
/** Without a word for this long the program counts as started: the first process runs, for it did not end. */
const PATIENCE_MS = 2000
/** What the first process says instead of an error of the kernel. */
const FOREIGN_GROUP = 4000

/**
 * Waits until the first process has told whether the task's program could be started.
 *
 * @throws COMMAND_INVALID when it could not, IMAGE_INVALID when the image gives it a foreign group
 */
export async function confirmStart(
  read: () => EndRecord | undefined,
  exit: Promise<RuntimeExit>,
): Promise<void> {
  let ended = false
  const end = exit.then(() => {
    ended = true
  })
  const begun = performance.now()
  for (let round = 0; ; round += 1) {
    const record = read()
    if (record?.state === 'cannot-start') {
      const { exitCode } = await exit
      if (exitCode !== 126 && exitCode !== 127) return
      if (record.error === FOREIGN_GROUP) {
        throw new ManyhandsError(
          'IMAGE_INVALID',
          'the image gives the task a group that is not its own, by its /etc/group or /etc/passwd',
        )
      }
      const why = getSystemErrorMap().get(-record.error)?.[1] ?? `error ${record.error}`
      throw new ManyhandsError('COMMAND_INVALID', `the command cannot be started: ${why}`)
    }
    if (record !== undefined || ended || performance.now() - begun > PATIENCE_MS) return
    await Promise.race([delay(STEPS_MS[round] ?? 100, undefined, { ref: false }), end])
  }
}
