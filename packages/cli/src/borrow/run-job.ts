import type { Client, ClientOptions, Job, JobSummary } from '@manyhands/client'
import { EXIT, isTerminal, type JobSpec, ManyhandsError } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { Interrupted, orInterrupted } from '../interruption.ts'
import type { Output } from '../output.ts'
import { webRtcBy } from '../stun-option.ts'
import { openClient, openClientOf } from './borrowing.ts'
import { placesToLook, waitForRuntime } from './host-search.ts'
import { JobReport } from './job-report.ts'
import type { FollowRequest, JobRequest } from './job-request.ts'
import { OutputSaver } from './output-saver.ts'
import { ownImages } from './own-images.ts'
import { writeOwnerKeyFile } from './owner-key-file.ts'
import type { AttachRequest, ResumeRequest } from './resume-request.ts'
import { runExitCode } from './run-exit.ts'

/** How long hosts may take to hear of a cancellation before the command leaves all the same, ms. */
const CANCEL_MS = 10_000
/** How long the last events may come after the job's end, ms. */
const LAST_EVENTS_MS = 1000

/** Runs a job to its end, telling what happens. Returns the exit code. */
export async function runJob(request: JobRequest, context: CommandContext): Promise<number> {
  const { signal } = context.interruption
  await using client = await orInterrupted(
    openClient(await clientOptions(request, request.spec, context), context),
    signal,
  )
  try {
    await waitForRuntime(client, request, signal)
  } catch (error) {
    if (signal.aborted) throw new Interrupted()
    throw error
  }
  const job = await orInterrupted(client.submit(request.spec, { signal }), signal)
  return await followToEnd(client, job, request, context)
}

/** Goes on with a job of an earlier command. Returns the exit code. */
export async function resumeJob(request: ResumeRequest, context: CommandContext): Promise<number> {
  const { signal } = context.interruption
  await using client = await orInterrupted(
    openClientOf(request.job, await clientOptions(request, {}, context), context),
    signal,
  )
  const job = await orInterrupted(client.job(request.job, { tasks: request.tasks }), signal)
  await job.resume()
  return await followToEnd(client, job, request, context)
}

/** Goes on with a job of another machine. Returns the exit code. */
export async function attachJob(request: AttachRequest, context: CommandContext): Promise<number> {
  const { signal } = context.interruption
  await using client = await orInterrupted(
    openClient(await clientOptions(request, {}, context), context),
    signal,
  )
  const { key, tasks, inputs } = request
  const job = await orInterrupted(client.attach(key, { tasks, inputs }), signal)
  await job.resume()
  return await followToEnd(client, job, request, context)
}

async function clientOptions(
  request: FollowRequest,
  spec: Pick<Partial<JobSpec>, 'runtime' | 'image'>,
  context: CommandContext,
): Promise<ClientOptions> {
  return {
    network: {
      ...(await placesToLook(request, context)),
      transports: await webRtcBy(request.stun),
    },
    images: await ownImages(spec, context),
    transfer: request.transfer,
    ...(request.state === undefined ? {} : { state: request.state }),
  }
}

/** A state that nobody chose does not fill with what nobody asks for again. */
async function followToEnd(
  client: Client,
  job: Job,
  request: FollowRequest,
  context: CommandContext,
): Promise<number> {
  if (request.ownerKey !== undefined && !isTerminal(job.phase)) {
    await writeOwnerKeyFile(request.ownerKey, await job.ownerKey())
  }
  const { code, whole } = await followJob(job, request, context)
  if (request.state === undefined && whole) await client.forget(job.id)
  return code
}

async function followJob(
  job: Job,
  request: FollowRequest,
  context: CommandContext,
): Promise<{ code: number; whole: boolean }> {
  const { output, interruption } = context
  const report = new JobReport(job, output)
  const leave = new AbortController()
  const cancel = (reason: string) => {
    // Hosts that do not answer must not keep the user waiting.
    setTimeout(() => leave.abort(), CANCEL_MS).unref()
    job.cancel(reason).catch(() => {})
  }
  const onInterrupt = () => {
    if (isTerminal(job.phase)) {
      output.say('the job is over, its outputs are being saved; again to leave at once')
      return
    }
    output.say('stopping what runs; again to leave at once')
    setTimeout(() => leave.abort(), CANCEL_MS).unref()
    job.pause({ stop: true }).then(
      () => {
        // Its last task may have ended at that moment: then only its outputs are left to save.
        if (!isTerminal(job.phase)) leave.abort()
      },
      () => cancel('interrupted by the user'),
    )
  }
  interruption.signal.addEventListener('abort', onInterrupt, { once: true })
  if (interruption.signal.aborted) onInterrupt()
  try {
    const events = new AbortController()
    const saver = request.out === undefined ? undefined : new OutputSaver(request.out)
    const following = followEvents(job, report, saver, events.signal)
    try {
      await takeResults(job, report, saver, leave.signal)
    } catch (error) {
      if (leave.signal.aborted) {
        await saver?.finish().catch(() => {})
        return { code: interrupted(job, report, output), whole: false }
      }
      const paused = await standsStill(job, error)
      events.abort()
      await following
      report.end(job.summary)
      if (paused) output.say(goOn(job))
      throw error
    }
    const summary = await orInterrupted(job.wait({ signal: leave.signal }), leave.signal)
    const timer = setTimeout(() => events.abort(), LAST_EVENTS_MS)
    await following
    clearTimeout(timer)
    report.end(summary)
    const code = interruption.signal.aborted ? EXIT.interrupted : exitCode(summary, report)
    return { code, whole: true }
  } finally {
    report.stop()
    interruption.signal.removeEventListener('abort', onInterrupt)
  }
}

/** It goes on when somebody says so. */
function interrupted(job: Job, report: JobReport, output: Output): number {
  report.end(job.summary)
  output.say(goOn(job))
  return EXIT.interrupted
}

const goOn = (job: Job) => `go on with: manyhands run --resume ${job.id}`

/**
 * Outputs cannot be saved: until they can, nobody need work on more of them. Nothing is lost. Resolves whether
 * there is a job to go on with.
 */
async function standsStill(job: Job, error: unknown): Promise<boolean> {
  if (error instanceof ManyhandsError && error.code === 'JOB_TAKEN') return false
  // Hosts that do not answer must not keep the user waiting.
  const late = new Promise((resolve) => setTimeout(resolve, CANCEL_MS).unref())
  await Promise.race([job.pause({ stop: true }).catch(() => {}), late])
  return true
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
      else if (event.kind === 'checkpoint') report.checkpoint(event)
      else if (event.kind === 'image') report.image(event)
      else if (event.kind === 'check') report.check(event)
      else if (event.kind === 'gap') report.gap(event.missed)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
