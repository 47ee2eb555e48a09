import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function drainCommand({ output, interruption, ...context }: CommandContext): Command {
  return defineOwnerCommand('drain', 'take no new work, let what runs finish, end the rest')
    .option('--deadline <duration>', 'when what still runs is ended, such as 60s')
    .option('--reason <text>', 'what clients are told')
    .action(async (options) => {
      const { parseDuration } = await import('@manyhands/core')
      const deadline =
        options.deadline === undefined ? undefined : parseDuration(options.deadline, '--deadline')
      const { runningHost } = await import('../running-host.ts')
      const control = await runningHost(context, options)
      const { orInterrupted } = await import('../interruption.ts')
      const report = await orInterrupted(
        control.drain({ deadline, reason: options.reason }, { signal: interruption.signal }),
        interruption.signal,
      )
      output.document(report)
      output.event('drained', report)
      if (output.format === 'text') {
        output.say(`drained: ${report.completed} finished, ${report.evicted} ended`)
      }
    })
}
