import { type Command, Option } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function statsCommand(context: CommandContext): Command {
  return defineOwnerCommand('stats', 'show what attempts use, once a second')
    .argument('[id]', 'one attempt, with its history; default: all, who uses most first')
    .addOption(new Option('--by <kind>', 'sums instead').choices(['client', 'job']))
    .option('--once', 'print it once and end')
    .action(async (given: string | undefined, options) => {
      const { showStats } = await import('../owner/stats/show-stats.ts')
      await showStats(given, options, context)
    })
}
