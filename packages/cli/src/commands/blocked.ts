import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function blockedCommand({ output, interruption, ...context }: CommandContext): Command {
  return defineOwnerCommand('blocked', 'list the clients that are refused').action(
    async (options) => {
      const { runningHost } = await import('../running-host.ts')
      const control = await runningHost(context, options)
      const peers = await control.blocked({ signal: interruption.signal })
      output.document(peers)
      for (const peer of peers) output.event('blocked', { peer })
      output.data(peers.join('\n'))
      if (peers.length === 0 && output.format === 'text') output.say('nobody is blocked')
    },
  )
}
