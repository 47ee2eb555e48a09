import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function drainCommand(context: CommandContext): Command {
  return defineOwnerCommand('drain', 'take no new work, let what runs finish, end the rest')
    .option('--deadline <duration>', 'when what still runs is ended; default 30s')
    .option('--finish', 'no deadline: all that runs may finish')
    .option('--stop', 'then end the host')
    .option('--reason <text>', 'what clients are told')
    .addHelpText(
      'after',
      '\nCtrl-C ends the waiting, not the drain; a later drain with a nearer deadline shortens it.',
    )
    .action(async (options) => {
      const { drainHost } = await import('../owner/drain-host.ts')
      await drainHost(options, context)
    })
}
