import { createClient, type Job, type JobSummary } from '@manyhands/client'
import { EXIT } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { Interrupted, orInterrupted } from '../interruption.ts'
import { placesToLook, waitForRuntime } from './host-search.ts'
import { JobReport } from './job-report.ts'
import type { JobRequest } from './job-request.ts'
import { OutputSaver } from './output-saver.ts'
import { ownImages } from './own-images.ts'
import { runExitCode } from './run-exit.ts'

/** How long hosts may take to hear of a cancellation before the command leaves all the same, ms. */
const CANCEL_MS = 10_000
/** How long the last events may come after the job's end, ms. */
const LAST_EVENTS_MS = 1000

/** Runs a job to its end, telling what happens. Returns the exit code. */
export async function runJob(request: JobRequest, context: CommandContext): Promise<number> {
  const { signal } = context.interruption
  const network = await placesToLook(request, context)
  await using client = await orInterrupted(
    createClient({
      network,
      images: await ownImages(request.spec, context),
      transfer: request.transfer,
      ...(request.state === undefined ? {} : { state: request.state }),
    }),
    signal,
  )
  try {
    await waitForRuntime(client, request, signal)
  } catch (error) {
    if (signal.aborted) throw new Interrupted()
    throw error
  }
  const job = await orInterrupted(client.submit(request.spec, { signal }), signal)
  return await followJob(job, request, context)
}

async function followJob(job: Job, request: JobRequest, context: CommandContext): Promise<number> {
  const { output, interruption } = context
  const report = new JobReport(job, output)
  const leave = new AbortController()
  const cancel = (reason: string) => {
    // Hosts that do not answer must not keep the user waiting.
    setTimeout(() => leave.abort(), CANCEL_MS).unref()
    job.cancel(reason).catch(() => {})
  }
  const onInterrupt = () => {
    output.say('canceling; again to leave at once')
    cancel('interrupted by the user')
  }
  interruption.signal.addEventListener('abort', onInterrupt, { once: true })
  if (interruption.signal.aborted) onInterrupt()
  try {
    const events = new AbortController()
    const saver = request.out === undefined ? undefined : new OutputSaver(request.out)
    const following = followEvents(job, report, saver, events.signal)
    let failure: { error: unknown } | undefined
    try {
      await takeResults(job, report, saver, leave.signal)
    } catch (error) {
      if (leave.signal.aborted) throw new Interrupted()
      // Outputs cannot be saved: more of them are of no use.
      failure = { error }
      cancel('outputs cannot be saved')
    }
    const summary = await orInterrupted(job.wait({ signal: leave.signal }), leave.signal)
    const timer = setTimeout(() => events.abort(), LAST_EVENTS_MS)
    await following
    clearTimeout(timer)
    report.end(summary)
    if (failure !== undefined) throw failure.error
    return interruption.signal.aborted ? EXIT.interrupted : exitCode(summary, report)
  } finally {
    report.stop()
    interruption.signal.removeEventListener('abort', onInterrupt)
  }
}

const exitCode = (summary: JobSummary, report: JobReport) => runExitCode(summary, report.tally)

async function takeResults(
  job: Job,
  report: JobReport,
  saver: OutputSaver | undefined,
  signal: AbortSignal,
): Promise<void> {
  for await (const result of job.results({ signal })) {
    // What a failed task left behind is not a result.
    if (saver === undefined || !result.ok) {
      saver?.skip(result)
      report.task(result, undefined)
    } else await saver.save(result, (directory) => report.task(result, directory))
  }
  await saver?.finish()
}

/** Attempts as they change, and files as they come. What is lost here is only news; results do not come this way. */
async function followEvents(
  job: Job,
  report: JobReport,
  saver: OutputSaver | undefined,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const event of job.events({ signal })) {
      if (event.kind === 'attempt') report.attempt(event)
      else if (event.kind === 'output') report.output(event, await saver?.saveEarly(event))
      else if (event.kind === 'image') report.image(event)
      else if (event.kind === 'gap') report.gap(event.missed)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
