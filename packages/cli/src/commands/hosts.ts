import type { Command } from 'commander'
import { type CommandContext, collect, defineCommand } from '../command-context.ts'
import { countingNumber } from '../option-values.ts'

export function hostsCommand(context: CommandContext): Command {
  return defineCommand('hosts', 'list the hosts that can be borrowed')
    .option('--bootstrap <addr>', 'peer to connect to', collect)
    .option('--mdns', 'look on the local network')
    .option(
      '--network <name>',
      'private network; default: the one that was joined, or the public one',
    )
    .option('--wait <n>', 'wait until so many hosts are seen', countingNumber, 1)
    .option('--timeout <duration>', 'how long to wait for them', '10s')
    .option('--watch', 'follow them, how they are connected and what goes to and fro')
    .action(async (options) => {
      const { listHosts } = await import('../borrow/list-hosts.ts')
      context.exit(await listHosts(options, context))
    })
}
