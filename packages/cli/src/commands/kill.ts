import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function killCommand(context: CommandContext): Command {
  return defineOwnerCommand('kill', 'end attempts now; their tasks go to other hosts')
    .argument('[id...]', 'attempts, as `ps` lists them; a unique beginning is enough')
    .option('--all', 'everything that runs here')
    .option('--reason <text>', 'what their clients are told')
    .option('--no-wait', 'do not wait until they are gone')
    .action(async (ids: string[], options) => {
      const { killAttempts } = await import('../owner/kill-attempts.ts')
      await killAttempts(ids, options, context)
    })
}
