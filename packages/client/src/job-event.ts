import type {
  AttemptPhase,
  AttemptTimeline,
  ErrorDocument,
  JobPhase,
  TaskPhase,
  TaskResult,
  TransferSource,
  Usage,
} from '@manyhands/core'
import type { JobProgress } from './job-progress.ts'

/**
 * One line of a job's history. `seq` grows by one, except that `progress` is no history: it says how far
 * the job is now, is not kept, and has the `seq` of the event before it.
 */
export type JobEvent = { seq: number; time: string; job: string } & (
  | { kind: 'job'; phase: JobPhase; error?: ErrorDocument }
  /** With its end comes its result, unless that is not handed out yet: see `accept`. */
  | { kind: 'task'; task: string; phase: TaskPhase; result?: TaskResult }
  | {
      kind: 'attempt'
      task: string
      attempt: string
      host: string
      phase: AttemptPhase
      /** It only checks a result that the task has already. */
      check?: true
      by?: 'host' | 'client'
      reason?: string
      error?: ErrorDocument
      usage?: Usage
      /** With its end: when it was first heard of in each phase, ms since it was sent. */
      timeline?: AttemptTimeline
      /** When it is sent out: the checkpoint that it begins with. */
      startedFrom?: NonNullable<AttemptTimeline['startedFrom']>
      /** Files that had come of it, and are not part of a result: it was lost, or ended without one. */
      provisional?: number
    }
  /**
   * The check of a result is over. `agreed`: these hosts had the same, those in `wrong` had not. `disputed`:
   * nobody can tell who is right, and the task has failed.
   */
  | {
      kind: 'check'
      task: string
      outcome: 'agreed' | 'disputed'
      hosts: string[]
      wrong: string[]
    }
  /** A piece of a stream, up to its byte `upTo`; with `gap` instead of text: so many bytes are missing. */
  | {
      kind: 'log'
      task: string
      attempt: string
      stream: 'stdout' | 'stderr'
      text: string
      upTo: number
      gap?: number
    }
  /**
   * A file that the task has completed is here, while it still runs. The same path may come again, with
   * new contents or from another attempt: tasks run at least once, and what counts is the result.
   */
  | {
      kind: 'output'
      task: string
      attempt: string
      host: string
      path: string
      bytes: number
      executable: boolean
      file: StreamedFile
    }
  /** A checkpoint of the task is here, and durable: where it goes on when its attempt is lost now. */
  | {
      kind: 'checkpoint'
      task: string
      attempt: string
      host: string
      root: string
      bytes: number
    }
  /** Over what outputs come from a host, and how fast: once a second while they do, and at the end. */
  | ({ kind: 'transfer'; task: string; attempt: string } & TransferSource)
  /**
   * A host lacks the job's image, which this computer's engine has: its layers are exported as far as they
   * were not before. Told once; again when hosts may fetch it, with the bytes that were exported.
   */
  | { kind: 'image'; image: string; phase: 'exporting' | 'ready'; bytes: number }
  | { kind: 'progress'; progress: JobProgress }
  | { kind: 'gap'; missed: number }
)

/** A file that a task completed while it ran, on this client's disk, verified. */
export interface StreamedFile {
  /** Relative to /out. */
  readonly path: string
  readonly executable: boolean
  /**
   * `'arrived'`: its task has no result yet; `'result'`: it came from the attempt that became the result,
   * which may have a later version of it; `'provisional'`: from an attempt that did not, or that vanished.
   */
  readonly state: 'arrived' | 'result' | 'provisional'
  /** Its contents. @throws NOT_FOUND when it is kept no longer: it was replaced, or given up */
  bytes(): Promise<Uint8Array>
  /** Writes it to exactly that path, beside and renamed. @throws NOT_FOUND as {@link bytes} */
  saveTo(path: string): Promise<void>
}
