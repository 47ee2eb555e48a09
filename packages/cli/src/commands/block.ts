import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function blockCommand({ output, ...context }: CommandContext): Command {
  return defineOwnerCommand('block', 'refuse a client from now on, and end its attempts')
    .argument('<peer>', 'peer id of the client, or the end of one that `ps` shows')
    .action(async (given: string, options) => {
      const { runningHost } = await import('../running-host.ts')
      const { withPeer } = await import('../owner/peer-id.ts')
      const control = await runningHost(context, options)
      const peer = await withPeer(control, given)
      await control.block(peer)
      output.document({ blocked: peer })
      output.event('blocked', { peer })
      if (output.format === 'text') output.say(`blocked ${peer}`)
    })
}
