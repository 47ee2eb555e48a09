import type { Command } from 'commander'
import { type CommandContext, collect, defineCommand } from '../command-context.ts'
import { assignment, countingNumber, nameList, positiveNumber } from '../option-values.ts'

export function hostCommand(context: CommandContext): Command {
  return defineCommand('host', 'lend this computer until it is interrupted')
    .option('--cpus <n>', 'cores lent at most', positiveNumber)
    .option('--memory <size>', 'memory lent at most, such as 8GiB')
    .option('--disk <size>', 'disk lent at most')
    .option('--max-attempts <n>', 'attempts at once', countingNumber)
    .option('--runtime <names>', 'docker, wasm; default: every one available', nameList)
    .option('--listen <addr>', 'address to listen on, such as /ip4/0.0.0.0/tcp/4001', collect)
    .option('--bootstrap <addr>', 'peer to connect to', collect)
    .option('--mdns', 'be found on the local network')
    .option('--network <name>', 'private network to lend to')
    .option('--state <dir>', 'directory of identity, journal and artifacts')
    .option('--policy <file>', 'who may use this host and for what (JSON)')
    .option('--name <label>', 'what people call this host')
    .option('--label <name=value>', 'label for filters of clients', assignment)
    .addHelpText(
      'after',
      `
The first SIGINT or SIGTERM drains for 30 s, the second ends at once.

Example:
  manyhands host --cpus 6 --memory 12GiB --listen /ip4/0.0.0.0/tcp/4001`,
    )
    .action(async (options) => {
      const { runHost } = await import('../lend/run-host.ts')
      context.exit(await runHost(options, context))
    })
}
