import type { Command } from 'commander'
import { type CommandContext, collect, defineCommand } from '../command-context.ts'
import { assignment, countingNumber, positiveNumber, wholeNumber } from '../option-values.ts'

export function runCommand(context: CommandContext): Command {
  return defineCommand('run', 'run a job on borrowed computers and follow it')
    .argument('[spec]', 'job spec, a JSON file; options replace its fields')
    .usage('[SPEC.json] [options] [-- ARGV...]')
    .option('--image <image>', 'docker: tag or digest; wasm: path of a .wasm file')
    .option('--tasks <range>', 'one task per number, such as 1-250,300; default: one task')
    .option('--in <path:/in/x>', 'file or directory that every task sees', collect)
    .option('--out <dir>', 'save what tasks write below /out to DIR/<task key>/')
    .option('--host <peer>', 'use only this host; may be repeated', collect)
    .option('--bootstrap <addr>', 'peer to connect to; default: the host of this computer', collect)
    .option('--mdns', 'look on the local network')
    .option('--runtime <name>', 'docker (default) or wasm')
    .option('--cpus <n>', 'cores per task', positiveNumber)
    .option('--memory <size>', 'memory per task, such as 2GiB')
    .option('--disk <size>', 'disk per task')
    .option('--pids <n>', 'processes and threads per task', countingNumber)
    .option('--timeout <duration>', 'longest run of one task, such as 30s')
    .option('--retries <n>', 'how often a failed task is tried again; default 2', wholeNumber)
    .option('--env <name=value>', 'environment variable; may be repeated', assignment)
    .option('--name <name>', 'what people call the job')
    .option('--wait <duration>', 'how long to wait for hosts', '10s')
    .option('--upload-limit <rate>', 'most that is sent, such as 10MiB/s')
    .option('--download-limit <rate>', 'most that is received')
    .option('--state <dir>', 'directory of identity and journal; default: a temporary one')
    .addHelpText(
      'after',
      `
{{item}} and {{index}} in ARGV are replaced for every task; there is no shell.

Examples:
  manyhands run --image render:1 --tasks 1-250 --in ./scene:/in/scene --out ./frames -- \\
    blender -b /in/scene/a.blend -o /out/#### -f {{item}}
  manyhands run --runtime wasm --image ./square.wasm --tasks 1-9 -- square {{item}}`,
    )
    .action(async (spec: string | undefined, options) => {
      const { jobRequest } = await import('../borrow/job-request.ts')
      const request = await jobRequest(spec, options, context)
      const { runJob } = await import('../borrow/run-job.ts')
      context.exit(await runJob(request, context))
    })
}
