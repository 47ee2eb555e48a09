import type { ErrorDocument } from './errors.ts'
import type { TaskPhase } from './phases.ts'
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
  readonly error?: ErrorDocument
}
