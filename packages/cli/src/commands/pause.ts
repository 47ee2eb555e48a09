import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function pauseCommand({ output, ...context }: CommandContext): Command {
  return defineOwnerCommand('pause', 'freeze a running attempt')
    .argument('<id>', 'attempt, as `ps` lists it; a unique beginning is enough')
    .option('--reason <text>', 'what its client is told')
    .action(async (given: string, options) => {
      const { runningHost } = await import('../running-host.ts')
      const { withAttempt } = await import('../owner/attempt-id.ts')
      const control = await runningHost(context, options)
      const { id, value } = await withAttempt(control, given, (full) =>
        control.pause(full, options.reason),
      )
      output.document(value)
      output.event('paused', value)
      if (output.format === 'text') output.say(`paused ${id}`)
    })
}
