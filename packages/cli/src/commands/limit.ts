import type { Command } from 'commander'
import type { CommandContext } from '../command-context.ts'
import { countingNumber, positiveNumber } from '../option-values.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function limitCommand({ output, ...context }: CommandContext): Command {
  return defineOwnerCommand('limit', 'change what a running attempt may use')
    .argument('<id>', 'attempt, as `ps` lists it; a unique beginning is enough')
    .option('--cpus <n>', 'cores', positiveNumber)
    .option('--memory <size>', 'memory, such as 512MiB')
    .option('--pids <n>', 'processes and threads', countingNumber)
    .action(async (given: string, options) => {
      const { ManyhandsError, parseByteSize } = await import('@manyhands/core')
      const { cpus, memory, pids } = options
      if (cpus === undefined && memory === undefined && pids === undefined) {
        throw new ManyhandsError('USAGE', 'limit: name at least one of --cpus, --memory, --pids')
      }
      const change = {
        cpus,
        memory: memory === undefined ? undefined : parseByteSize(memory, '--memory'),
        pids,
      }
      const { runningHost } = await import('../running-host.ts')
      const { withAttempt } = await import('../owner/attempt-id.ts')
      const control = await runningHost(context, options)
      const { id, value } = await withAttempt(control, given, (full) => control.limit(full, change))
      output.document(value)
      output.event('limited', value)
      if (output.format === 'text') output.say(`limited ${id}`)
    })
}
