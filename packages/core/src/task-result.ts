import type { ErrorDocument } from './errors.ts'
import type { AttemptPhase, TaskPhase } from './phases.ts'
import type { SignedReceipt } from './receipts/receipt.ts'
import type { Usage } from './usage.ts'

/** What a task wrote below /out, verified, on the client's disk. Paths are relative to /out. */
export interface TaskOutputs {
  /** Relative POSIX paths and sizes in bytes, sorted. */
  readonly files: readonly { path: string; size: number }[]
  /** `sha256:…` of the manifest. */
  readonly artifact: string
  /** Writes all files below `dir`, creating it; existing files are replaced. Returns their paths. */
  saveTo(dir: string): Promise<string[]>
  /** One file's bytes. @throws NOT_FOUND */
  read(path: string): Promise<Uint8Array>
}

/** Milliseconds since an attempt was sent to its host, by phase. What passes quickly may not be heard of. */
export type AttemptTimeline = Partial<Record<AttemptPhase, number>> & {
  /** When checkpoints of it became durable at the client, ms since it was sent; the latest ones. */
  checkpoints?: number[]
  /** What it began with: the checkpoint of another attempt. */
  startedFrom?: { attempt: string; root: string; bytes: number }
}

/** One shape for success and failure; the booleans say why. */
export interface TaskResult<Item = unknown> {
  readonly job: string
  readonly key: string
  readonly index: number
  readonly item: Item
  readonly ok: boolean
  readonly phase: TaskPhase
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  readonly timedOut: boolean
  readonly canceled: boolean
  readonly oom: boolean
  /** Peer id of the host whose attempt decided; undefined when none ran. */
  readonly host: string | undefined
  /** Attempts that were sent out. */
  readonly attempts: number
  /** Run time of the deciding attempt in its sandbox. */
  readonly durationMs: number
  readonly usage: Usage
  readonly outputs: TaskOutputs
  /** The last bytes written, decoded as UTF-8. */
  readonly stdoutTail: string
  readonly stderrTail: string
  /** What the deciding host signed; undefined when no attempt decided. `verifyReceipt` checks it again. */
  readonly receipt?: SignedReceipt
  /** When the deciding attempt was first heard of in each phase, ms since it was sent to its host. */
  readonly timeline?: AttemptTimeline
  /** Hosts that had the same result, the deciding one among them; only where it was checked. */
  readonly agreedBy?: readonly string[]
  /** It may still turn out to be wrong: then another result of this task follows. */
  readonly provisional?: true
  readonly error?: ErrorDocument
}
