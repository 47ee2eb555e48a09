import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function statsCommand({ output, interruption, ...context }: CommandContext): Command {
  return defineOwnerCommand('stats', 'show what attempts use, once a second')
    .argument('[id]', 'one attempt; default: all')
    .option('--once', 'print one sample and end')
    .action(async (given: string | undefined, options) => {
      const { runningHost } = await import('../running-host.ts')
      const { withAttempt } = await import('../owner/attempt-id.ts')
      const { followUsage, usageNow } = await import('../owner/usage-report.ts')
      const control = await runningHost(context, options)
      const { signal } = interruption
      const found =
        given === undefined
          ? undefined
          : await withAttempt(control, given, (full) => control.attempt(full, { signal }))
      // One document cannot follow; neither can a pipe that expects a table.
      if (
        options.once === true ||
        output.format === 'json' ||
        (output.format === 'text' && !output.live)
      ) {
        await usageNow(control, output, found?.id)
      } else {
        await followUsage(control, output, { attempt: found?.id, signal })
      }
    })
}
