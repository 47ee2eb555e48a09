import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function psCommand({ output, interruption, ...context }: CommandContext): Command {
  return defineOwnerCommand('ps', 'list what runs on this computer').action(async (options) => {
    const { runningHost } = await import('../running-host.ts')
    const { attemptTable } = await import('../owner/attempt-table.ts')
    const control = await runningHost(context, options)
    const attempts = await control.attempts({ signal: interruption.signal })
    output.document(attempts)
    for (const attempt of attempts) output.event('attempt', attempt)
    output.data(attemptTable(attempts))
  })
}
