import type { Job } from '@manyhands/client'
import type { TaskResult } from '@manyhands/core'
import type { FoldingTask } from './folding-job.ts'
import type { HostProcess } from './host-process.ts'
import { readTrajectory, type Trajectory } from './trajectory.ts'

/** What became of it. */
export interface Folded {
  completed: number
  failed: { task: string; message: string }[]
  /** By replica, from 1. */
  trajectories: Map<number, Trajectory>
  killed: string | undefined
  continued: { task: string; atPs: number; segmentFromPs: number }[]
}

/** Follows the job to its end, and takes a host's power in the middle of it. */
export async function followFolding(
  job: Job<FoldingTask>,
  { hosts, ps, say }: { hosts: HostProcess[]; ps: number; say: (line: string) => void },
): Promise<Folded> {
  const folded: Folded = {
    completed: 0,
    failed: [],
    trajectories: new Map(),
    killed: undefined,
    continued: [],
  }
  const killing = killInTheMiddle(job, hosts, folded, say)
  for await (const result of job.results()) {
    if (!result.ok) {
      folded.failed.push({ task: result.key, message: result.error?.message ?? result.phase })
      say(`${result.key} failed: ${result.error?.message}\n${result.stderrTail.slice(-800)}`)
      continue
    }
    folded.completed += 1
    const { item, stdoutTail } = result
    const where = `…${result.host?.slice(-6)}`
    say(`${result.key} from ${where}, attempt ${result.attempts}: ${stdoutTail.trim() || 'done'}`)
    if (item.kind === 'analyse') {
      folded.trajectories.set(item.replica, await trajectoryOf(result))
    }
    const from = result.timeline?.startedFrom
    if (item.kind === 'segment' && from !== undefined && result.host !== folded.killed) {
      const atPs = Number(/goes on at ([\d.e+]+) ps/.exec(stdoutTail)?.[1])
      folded.continued.push({ task: result.key, atPs, segmentFromPs: (item.segment - 1) * ps })
    }
  }
  await killing
  return folded
}

/** So many checkpoints of a segment, about one a second: then it is in its middle. */
const IN_THE_MIDDLE = 4

/** The first host that is in the middle of a second segment is lost, with what it has done since its last word. */
async function killInTheMiddle(
  job: Job<FoldingTask>,
  hosts: HostProcess[],
  folded: Folded,
  say: (line: string) => void,
): Promise<void> {
  const checkpoints = new Map<string, number>()
  for await (const event of job.events()) {
    if (event.kind !== 'checkpoint' || !event.task.endsWith('-s2')) continue
    const count = (checkpoints.get(event.attempt) ?? 0) + 1
    checkpoints.set(event.attempt, count)
    if (count < IN_THE_MIDDLE) continue
    const host = hosts.find(({ peerId }) => peerId === event.host)
    say(
      `host …${event.host.slice(-6)} has given ${count} checkpoints of ${event.task}: it loses its power now`,
    )
    folded.killed = event.host
    await host?.loseItsPower()
    return
  }
}

async function trajectoryOf({ outputs }: TaskResult<FoldingTask>): Promise<Trajectory> {
  const text = async (path: string) => new TextDecoder().decode(await outputs.read(path))
  return readTrajectory(await text('check.txt'), await text('radius.xvg'))
}
