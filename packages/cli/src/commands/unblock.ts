import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function unblockCommand({ output, ...context }: CommandContext): Command {
  return defineOwnerCommand('unblock', 'let a blocked client come again')
    .argument('<peer>', 'peer id of the client, or the end of one that `blocked` lists')
    .action(async (given: string, options) => {
      const { ManyhandsError } = await import('@manyhands/core')
      const { runningHost } = await import('../running-host.ts')
      const { withPeer } = await import('../owner/peer-id.ts')
      const control = await runningHost(context, options)
      const peer = await withPeer(control, given)
      if (!(await control.blocked()).includes(peer)) {
        throw new ManyhandsError('NOT_FOUND', `${peer} is not blocked`, {
          hint: '`manyhands blocked` lists who is.',
        })
      }
      await control.unblock(peer)
      output.document({ unblocked: peer })
      output.event('unblocked', { peer })
      if (output.format === 'text') output.say(`unblocked ${peer}`)
    })
}
