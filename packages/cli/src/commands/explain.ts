import type { Command } from 'commander'
import { type CommandContext, collect } from '../command-context.ts'
import { countingNumber, positiveNumber, wholeNumber } from '../option-values.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function explainCommand(context: CommandContext): Command {
  return defineOwnerCommand('explain', 'say what every rule makes of a request, without running it')
    .requiredOption('--client <peer>', 'who would ask')
    .requiredOption('--image <image>', 'what would run')
    .option('--runtime <name>', 'docker or wasm', 'docker')
    .option('--cpus <n>', 'cores; default 1', positiveNumber)
    .option('--memory <size>', 'memory, such as 2GiB; default 512MiB')
    .option('--disk <size>', 'disk; default 1GiB')
    .option('--pids <n>', 'processes and threads; default 256', countingNumber)
    .option('--gpus <n>', 'GPUs; default 0', wholeNumber)
    .option('--gpu-model <text>', 'part of the name of their model')
    .option('--timeout <duration>', 'longest run, such as 30m')
    .option('--egress <destination>', 'network access it asks for; may be repeated', collect)
    .option('--artifact <root>', 'input that it needs; may be repeated', collect)
    .addHelpText('after', '\nEnds with 0 when the request would be accepted now, else with 4.')
    .action(async (options) => {
      const { explainRequest } = await import('../owner/explanation.ts')
      context.exit(await explainRequest(options, context))
    })
}
