import { EXIT, parseDuration, resolveResources } from '@manyhands/core'
import type { RuleVerdict } from '@manyhands/host'
import type { CommandContext } from '../command-context.ts'
import type { Output } from '../output.ts'
import { runningHost } from '../running-host.ts'
import { formatTable } from '../table.ts'
import { withPeer } from './peer-id.ts'

export interface ExplainFlags {
  client: string
  image: string
  runtime: string
  cpus?: number
  memory?: string
  disk?: string
  pids?: number
  gpus?: number
  gpuModel?: string
  timeout?: string
  egress?: string[]
  artifact?: string[]
  state?: string
}

/** Tells every rule's verdict. Returns the exit code: that of a refusal unless all agree. */
export async function explainRequest(
  flags: ExplainFlags,
  context: CommandContext,
): Promise<number> {
  const { output } = context
  const { cpus, memory, disk, pids, gpus = flags.gpuModel === undefined ? 0 : 1 } = flags
  const resources = resolveResources({ cpus, memory, disk, pids, gpus })
  const timeoutMs = flags.timeout === undefined ? 0 : parseDuration(flags.timeout, '--timeout')
  const control = await runningHost(context, flags)
  const verdicts = await control.explain({
    client: await withPeer(control, flags.client),
    runtime: flags.runtime,
    image: flags.image,
    resources,
    timeoutMs,
    networkProfile: flags.egress === undefined ? 'none' : { egress: flags.egress },
    ...(flags.gpuModel === undefined ? {} : { gpu: { model: flags.gpuModel } }),
    ...(flags.artifact === undefined ? {} : { artifacts: flags.artifact }),
  })
  const refusals = verdicts.filter((verdict) => !verdict.allowed)
  const allowed = refusals.length === 0
  const later = !allowed && refusals.every((verdict) => verdict.temporary)
  output.document({ allowed, temporary: later, verdicts })
  for (const verdict of verdicts) output.event('verdict', verdict)
  output.event('explained', { allowed, temporary: later })
  output.data(verdictTable(verdicts, output))
  if (output.format === 'text') {
    output.say(
      allowed
        ? 'would be accepted now'
        : later
          ? 'would be refused now, may be accepted later'
          : 'would be refused',
    )
  }
  return allowed ? EXIT.ok : EXIT.noHosts
}

function verdictTable(verdicts: RuleVerdict[], output: Output): string {
  const said = ({ allowed, temporary }: RuleVerdict) =>
    allowed ? 'ok' : temporary ? 'not now' : 'no'
  const rows = verdicts.map((verdict) => [verdict.rule, said(verdict), verdict.detail])
  const [header, ...lines] = formatTable(['RULE', 'VERDICT', 'DETAIL'], rows).split('\n')
  return [
    header!,
    ...lines.map((line, index) => (verdicts[index]!.allowed ? line : output.style('red', line))),
  ].join('\n')
}
