import type { Command } from 'commander'
import { type CommandContext, collect, defineCommand } from '../command-context.ts'
import { assignment, countingNumber, once, positiveNumber, wholeNumber } from '../option-values.ts'

export function runCommand(context: CommandContext): Command {
  return defineCommand('run', 'run a job on borrowed computers and follow it')
    .argument('[spec]', 'job spec, a JSON file; options replace its fields')
    .usage('[SPEC.json] [options] [-- ARGV...]')
    .option('--image <image>', 'docker: tag or digest; wasm: path of a .wasm file')
    .option(
      '--tasks <range>',
      'one task per number, such as 1-250,300, or - for one per line of JSON on stdin; default: one task',
    )
    .option('--resume <job>', 'go on with a job that was interrupted')
    .option('--attach <file>', 'go on with a job of another machine, by its owner key')
    .option(
      '--owner-key <file>',
      'write the key with which another machine goes on with the job; who has it has the job',
    )
    .option('--in <path:/in/x>', 'file or directory that every task sees', collect)
    .option('--out <dir>', 'save what tasks write below /out to DIR/<task key>/')
    .option('--host <peer>', 'use only this host; may be repeated', collect)
    .option('--bootstrap <addr>', 'peer to connect to; default: the host of this computer', collect)
    .option('--mdns', 'look on the local network')
    .option(
      '--stun <addr>',
      'meet hosts behind other routers (WebRTC), with this STUN server',
      collect,
    )
    .option(
      '--network <name>',
      'private network; default: the one that was joined, or the public one',
    )
    .option('--runtime <name>', 'docker (default) or wasm')
    .option('--cpus <n>', 'cores per task', positiveNumber)
    .option('--memory <size>', 'memory per task, such as 2GiB')
    .option('--disk <size>', 'disk per task')
    .option('--pids <n>', 'processes and threads per task', countingNumber)
    .option('--timeout <duration>', 'longest run of one task, such as 30s')
    .option('--retries <n>', 'how often a failed task is tried again; default 2', wholeNumber)
    .option('--verify', 'check results at other hosts; exact ones, unless the spec says how')
    .option(
      '--accept <when>',
      'when results count: job-end (default with --verify), quorum, provisional',
    )
    .option(
      '--checkpoint <path>',
      'files below /out that leave the host while a task runs, such as /out/*.cpt; may be repeated',
      collect,
    )
    .option('--checkpoint-every <duration>', 'how often they do; default 1m', once)
    .option('--env <name=value>', 'environment variable; may be repeated', assignment)
    .option('--name <name>', 'what people call the job')
    .option('--wait <duration>', 'how long to wait for hosts', '10s')
    .option('--upload-limit <rate>', 'most that is sent, such as 10MiB/s')
    .option('--download-limit <rate>', 'most that is received')
    .option('--state <dir>', 'directory of identity and journal; default: that of this user')
    .addHelpText(
      'after',
      `
{{item}} and {{index}} in ARGV are replaced for every task; there is no shell.

Examples:
  manyhands run --image render:1 --tasks 1-250 --in ./scene:/in/scene --out ./frames -- \\
    blender -b /in/scene/a.blend -o /out/#### -f {{item}}
  manyhands run --runtime wasm --image ./square.wasm --tasks 1-9 -- square {{item}}
  generate-scenes | manyhands run --image render:1 --tasks - -- render {{item.scene}} {{item.frame}}
  manyhands run --resume m3k9x0-0f3a --out ./frames`,
    )
    .action(async (spec: string | undefined, options) => {
      const { attachRequest, resumeRequest } = await import('../borrow/resume-request.ts')
      if (options.attach !== undefined) {
        const attached = await attachRequest(spec, options, context)
        const { attachJob } = await import('../borrow/run-job.ts')
        return context.exit(await attachJob(attached, context))
      }
      if (options.resume !== undefined) {
        const resumed = await resumeRequest(spec, options, context)
        const { resumeJob } = await import('../borrow/run-job.ts')
        return context.exit(await resumeJob(resumed, context))
      }
      const { jobRequest } = await import('../borrow/job-request.ts')
      const request = await jobRequest(spec, options, context)
      const { runJob } = await import('../borrow/run-job.ts')
      context.exit(await runJob(request, context))
    })
}
