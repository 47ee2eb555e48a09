import type { Command } from 'commander'
import { type CommandContext, defineCommand } from '../command-context.ts'
import { nameList } from '../option-values.ts'

export function doctorCommand(context: CommandContext): Command {
  return defineCommand('doctor', 'check what this computer can lend, and say what to do')
    .option('--runtime <names>', 'only these runtimes', nameList)
    .option('--isolation <name>', 'with the isolation that the host would be given')
    .option('--microvm-kernel <file>', 'kernel of microVMs, such as /boot/vmlinuz-VERSION')
    .option('--microvm-modules <dir>', 'its modules; default /lib/modules/VERSION')
    .option('--state <dir>', 'state directory of the host that is meant')
    .addHelpText('after', '\nEnds with 6 when no runtime can be used, else with 0.')
    .action(async (options) => {
      const { examine } = await import('../lend/doctor/examine.ts')
      const { reportText } = await import('../lend/doctor/report-text.ts')
      const { EXIT } = await import('@manyhands/core')
      const report = await examine(options, context)
      context.output.document(report)
      for (const check of report.checks) context.output.event('check', check)
      context.output.data(reportText(report.checks, context.output))
      if (!report.usable) context.exit(EXIT.runtimeUnavailable)
    })
}
