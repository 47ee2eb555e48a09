import type { ControlClient } from '@manyhands/control/client'
import { isTerminal, ManyhandsError } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { runningHost } from '../running-host.ts'
import { withAttempt } from './attempt-id.ts'

/**
 * Ends all of them at the same time: an engine that is slow about one must not keep the others alive.
 * What can be ended is, also when one of the ids is wrong; then the error is that of the first such id.
 */
export async function killAttempts(
  ids: string[],
  flags: { all?: boolean; reason?: string; wait: boolean; state?: string },
  context: CommandContext,
): Promise<void> {
  const { output } = context
  if ((flags.all === true) === ids.length > 0) {
    throw new ManyhandsError('USAGE', 'kill: name the attempts, or --all of them')
  }
  const control = await runningHost(context, flags)
  const given = flags.all === true ? await living(control) : ids
  const reason = flags.reason ?? null
  const killed: string[] = []
  const outcomes = await Promise.allSettled(
    given.map(async (beginning) => {
      const { id, value: gone } = await withAttempt(control, beginning, (full) =>
        control.kill(full, flags.reason, { wait: flags.wait ? 'gone' : 'told' }),
      )
      killed.push(id)
      output.event('killed', { id, reason, gone })
      if (output.format === 'text') output.say(gone ? `killed ${id}` : `ending ${id}`)
    }),
  )
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  if (given.length === 0 && output.format === 'text') output.say('nothing runs here')
  output.document({ killed, reason })
}

async function living(control: ControlClient): Promise<string[]> {
  const attempts = await control.attempts()
  return attempts.filter(({ phase }) => !isTerminal(phase)).map(({ id }) => id)
}
