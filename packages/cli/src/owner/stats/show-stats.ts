import type { ControlClient } from '@manyhands/control/client'
import { ManyhandsError } from '@manyhands/core'
import type { HostAttempt, UsageSample } from '@manyhands/host'
import type { CommandContext } from '../../command-context.ts'
import type { Output } from '../../output.ts'
import { runningHost } from '../../running-host.ts'
import { withAttempt } from '../attempt-id.ts'
import { attemptText } from './attempt-view.ts'
import { CpuHistories } from './cpu-histories.ts'
import { redraw } from './redraw.ts'
import { statsText } from './stats-view.ts'
import { sortedTotals, type TotalKind, totalsText } from './totals-view.ts'

export interface StatsFlags {
  once?: boolean
  by?: TotalKind
  state?: string
}

/** Shows usage: of everything, of one attempt, or in sums; once, or until it is interrupted. */
export async function showStats(
  given: string | undefined,
  flags: StatsFlags,
  context: CommandContext,
): Promise<void> {
  const { output, interruption } = context
  const { signal } = interruption
  if (given !== undefined && flags.by !== undefined) {
    throw new ManyhandsError('USAGE', 'stats: --by sums up, and one attempt is no sum')
  }
  const control = await runningHost(context, flags)
  // One document cannot follow; neither can a pipe that expects a table.
  const once =
    flags.once === true || output.format === 'json' || (output.format === 'text' && !output.watched)

  if (flags.by !== undefined) return await showTotals(control, flags.by, once, context)
  const id =
    given === undefined
      ? undefined
      : (await withAttempt(control, given, (full) => control.attempt(full, { signal }))).id
  if (!once && output.format === 'jsonl') return await followSamples(control, id, context)
  if (id === undefined) await showAll(control, once, context)
  else await showOne(control, id, once, context)
}

async function showAll(control: ControlClient, once: boolean, context: CommandContext) {
  const { output, interruption } = context
  const { signal } = interruption
  const histories = new CpuHistories()
  const look = async (view: { rows: number }) => {
    const [attempts, offer, totals] = await Promise.all([
      control.attempts({ signal }),
      control.offer({ signal }),
      control.totals({ signal }),
    ])
    await histories.see(control, attempts, signal)
    const rows = attempts.map((attempt) => ({ attempt, cpus: histories.of(attempt.id) }))
    return { attempts, text: statsText({ offer, rows, totals }, { ...page(output), ...view }) }
  }
  if (!once) return await redraw(output, signal, async () => (await look(output)).text)
  if (output.format !== 'text') return tellSamples(await control.attempts({ signal }), context)
  output.data((await look({ rows: Number.POSITIVE_INFINITY })).text)
}

async function showOne(control: ControlClient, id: string, once: boolean, context: CommandContext) {
  const { output, interruption } = context
  const { signal } = interruption
  const look = () =>
    Promise.all([control.attempt(id, { signal }), control.history(id, { signal })] as const)
  if (!once) {
    return await redraw(output, signal, async () => attemptText(...(await look()), output))
  }
  const [attempt, history] = await look()
  const document = { ...describe(attempt), history }
  output.document([document])
  output.event('usage', document)
  output.data(attemptText(attempt, history, page(output)))
}

async function showTotals(
  control: ControlClient,
  by: TotalKind,
  once: boolean,
  context: CommandContext,
) {
  const { output, interruption } = context
  const { signal } = interruption
  if (!once && output.format === 'text') {
    return await redraw(output, signal, async () =>
      totalsText(await control.totals({ signal }), by, output, output.rows),
    )
  }
  const totals = await control.totals({ signal })
  const sorted = sortedTotals(totals, by)
  output.document({ since: totals.since, by, totals: sorted })
  for (const total of sorted) output.event('total', { by, ...total })
  output.data(totalsText(totals, by, page(output)))
}

/** Samples as they are taken, until the host ends or the user does. */
async function followSamples(
  control: ControlClient,
  attempt: string | undefined,
  { output, interruption: { signal } }: CommandContext,
) {
  try {
    for await (const sample of control.usage({ attempt, signal })) output.event('usage', sample)
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function tellSamples(attempts: HostAttempt[], { output }: CommandContext): void {
  const samples = attempts.map(describe).sort((a, b) => b.cpu - a.cpu)
  output.document(samples)
  for (const sample of samples) output.event('usage', sample)
}

/** What does not go to a terminal has no width to fit. */
function page(output: Output): Pick<Output, 'columns' | 'style'> {
  const columns = output.watched ? output.columns : Number.POSITIVE_INFINITY
  return { columns, style: output.style }
}

/** A sample, and what it is a sample of. */
function describe(attempt: HostAttempt): UsageSample & Partial<HostAttempt> {
  const { id, client, job, jobName, task, phase, reason, limits, gpuIds, transfer } = attempt
  return {
    ...attempt.usage,
    attempt: id,
    client,
    job,
    jobName,
    task,
    phase,
    ...(reason === undefined ? {} : { reason }),
    ...(transfer === undefined ? {} : { transfer }),
    limits,
    gpuIds,
  }
}
