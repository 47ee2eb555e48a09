import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function blockCommand({ output, ...context }: CommandContext): Command {
  return defineOwnerCommand('block', 'refuse a client from now on, and end its attempts')
    .argument('<peer>', 'peer id of the client')
    .action(async (peer: string, options) => {
      const { runningHost } = await import('../running-host.ts')
      const control = await runningHost(context, options)
      await control.block(peer)
      output.document({ blocked: peer })
      output.event('blocked', { peer })
      if (output.format === 'text') output.say(`blocked ${peer}`)
    })
}
