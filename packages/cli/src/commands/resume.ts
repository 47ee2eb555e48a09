import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function resumeCommand({ output, ...context }: CommandContext): Command {
  return defineOwnerCommand('resume', 'let a paused attempt go on')
    .argument('<id>', 'attempt, as `ps` lists it; a unique beginning is enough')
    .action(async (given: string, options) => {
      const { runningHost } = await import('../running-host.ts')
      const { withAttempt } = await import('../owner/attempt-id.ts')
      const control = await runningHost(context, options)
      const { id, value } = await withAttempt(control, given, (full) => control.resume(full))
      output.document(value)
      output.event('resumed', value)
      if (output.format === 'text') output.say(`resumed ${id}`)
    })
}
