import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function killCommand({ output, ...context }: CommandContext): Command {
  return defineOwnerCommand('kill', 'end attempts now; their tasks go to other hosts')
    .argument('<id...>', 'attempts, as `ps` lists them; a unique beginning is enough')
    .option('--reason <text>', 'what their clients are told')
    .action(async (ids: string[], options) => {
      const { runningHost } = await import('../running-host.ts')
      const { withAttempt } = await import('../owner/attempt-id.ts')
      const control = await runningHost(context, options)
      const killed: string[] = []
      for (const given of ids) {
        const { id } = await withAttempt(control, given, (full) =>
          control.kill(full, options.reason),
        )
        killed.push(id)
        output.event('killed', { id, reason: options.reason ?? null })
        if (output.format === 'text') output.say(`killed ${id}`)
      }
      output.document({ killed, reason: options.reason ?? null })
    })
}
