export interface JobCounts {
  queued: number
  running: number
  completed: number
  failed: number
  canceled: number
  /** Known once the source of tasks has been read to its end. */
  total?: number
}

export interface JobProgress extends JobCounts {
  /** What is counted, for people: `'task'`, `'frame'`. */
  unit: string
  /** Tasks per second over the last half minute. */
  rate: number
  /** Bytes of inputs sent and outputs received. */
  bytesUp: number
  bytesDown: number
  /** The same per second, smoothed over about three seconds. */
  rateUp: number
  rateDown: number
  /** How many of the tasks that are out do what; together they are `running`. */
  phases: Record<ActivePhase, number>
  /** What the tasks that are out do, the first 1000 of them. */
  active: ActiveTask[]
  /**
   * Milliseconds to the end, when it can be told: from how long tasks took at each host, how many run and
   * wait, and what is still being transferred. Absent before the first task has ended, while the number of
   * tasks is not known, and while tasks wait and none is sent out.
   */
  eta?: number
}

/**
 * What a task is doing: its host gets the image; it gets the inputs, or makes the sandbox; the task runs
 * or stands still; its outputs are gathered and come here.
 */
export type ActivePhase = 'image' | 'inputs' | 'running' | 'outputs'

/** A task that is out. Tasks at one host may wait for one transfer: all of them have its numbers. */
export interface ActiveTask {
  task: string
  attempt: string
  host: string
  phase: ActivePhase
  /** While something is transferred: bytes that came, that have to come in all, and bytes per second. */
  bytes?: number
  total?: number
  rate?: number
  /** Milliseconds to the end of the phase, when it can be told. */
  etaMs?: number
}
