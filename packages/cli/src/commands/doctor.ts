import type { Command } from 'commander'
import { type CommandContext, defineCommand } from '../command-context.ts'
import { nameList } from '../option-values.ts'

export function doctorCommand(context: CommandContext): Command {
  return defineCommand('doctor', 'check what this computer can lend, and say what to do')
    .option('--runtime <names>', 'only these runtimes', nameList)
    .option('--state <dir>', 'state directory of the host that is meant')
    .action(async (options) => {
      const { examine, reportText } = await import('../lend/examination.ts')
      const { EXIT } = await import('@manyhands/core')
      const report = await examine(options, context)
      context.output.document(report)
      for (const check of report.checks) context.output.event('check', check)
      context.output.data(reportText(report, context.output))
      if (!report.checks.some((check) => check.runtime !== undefined && check.ok)) {
        context.exit(EXIT.runtimeUnavailable)
      }
    })
}
