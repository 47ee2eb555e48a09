import { resolve } from 'node:path'
import { ManyhandsError } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { type FollowRequest, followRequest, type RunFlags } from './job-request.ts'
import { readOwnerKeyFile } from './owner-key-file.ts'
import { taskLines } from './task-lines.ts'

/** Options that say what a job is: one that is resumed is what it was. */
const OF_THE_JOB = [
  'image',
  'tasks',
  'in',
  'host',
  'runtime',
  'cpus',
  'memory',
  'disk',
  'pids',
  'timeout',
  'retries',
  'verify',
  'accept',
  'checkpoint',
  'checkpointEvery',
  'env',
  'name',
] as const satisfies (keyof RunFlags)[]

export interface GoOnRequest extends FollowRequest {
  /** Its source again, where that was not read to its end. */
  tasks?: AsyncIterable<unknown>
}

export interface ResumeRequest extends GoOnRequest {
  job: string
}

export interface AttachRequest extends GoOnRequest {
  key: string
  /** Files and directories of this computer that the job may need. */
  inputs: string[]
}

/** A job to go on with. @throws USAGE */
export async function resumeRequest(
  file: string | undefined,
  flags: RunFlags,
  context: Pick<CommandContext, 'cwd' | 'rest' | 'stdin'>,
): Promise<ResumeRequest> {
  leaveOut('--resume', OF_THE_JOB, file, flags, context)
  return { ...(await goOnRequest(flags, context)), job: flags.resume! }
}

/** A job of another machine to go on with. @throws USAGE */
export async function attachRequest(
  file: string | undefined,
  flags: RunFlags,
  context: Pick<CommandContext, 'cwd' | 'rest' | 'stdin'>,
): Promise<AttachRequest> {
  const others = OF_THE_JOB.filter((name) => name !== 'in')
  leaveOut('--attach', others, file, flags, context)
  return {
    ...(await goOnRequest(flags, context)),
    key: await readOwnerKeyFile(context.cwd, flags.attach!),
    inputs: (flags.in ?? []).map((path) => resolve(context.cwd, path)),
  }
}

function leaveOut(
  option: string,
  names: readonly (typeof OF_THE_JOB)[number][],
  file: string | undefined,
  flags: RunFlags,
  context: Pick<CommandContext, 'rest'>,
): void {
  const given = names
    .filter((name) => flags[name] !== undefined)
    // Its lines, from the first one on: they are in no journal before they are read.
    .filter((name) => name !== 'tasks' || flags.tasks !== '-')
    .map((name) => `--${name.replace('E', '-e')}`)
  if (file !== undefined) given.push('SPEC.json')
  if (context.rest !== undefined && context.rest.length > 0) given.push('-- ARGV')
  if (given.length > 0) {
    throw new ManyhandsError(
      'USAGE',
      `run ${option} goes on with what was submitted: leave ${given.join(', ')} out`,
    )
  }
}

async function goOnRequest(
  flags: RunFlags,
  context: Pick<CommandContext, 'cwd' | 'stdin'>,
): Promise<GoOnRequest> {
  return {
    ...(await followRequest(flags, context)),
    ...(flags.tasks === undefined ? {} : { tasks: taskLines(context.stdin) }),
  }
}
