import type { Command } from 'commander'
import { type CommandContext, defineCommand } from '../command-context.ts'

export function gcCommand(context: CommandContext): Command {
  return defineCommand('gc', 'remove from the disk what nothing needs any more')
    .option('--dry-run', 'only say what would go')
    .option('--keep <size>', 'most that stays for later jobs, such as 10GiB or 0')
    .option('--state <dir>', 'state directory of a host or a client; default: the host here')
    .addHelpText(
      'after',
      `
What attempts and jobs need, and results that wait for their client, always stay. A host that runs
with the directory is asked to do it; a client's must not be in use.

Examples:
  manyhands gc --dry-run     # what would go, and why the rest stays
  manyhands gc --keep 0      # also inputs that are kept for later jobs`,
    )
    .action(async (options) => {
      const { tidy } = await import('../tidy/tidy.ts')
      await tidy(options, context)
    })
}
