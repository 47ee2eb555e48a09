import type { LocalTransferGovernor, Runtime, RuntimeFingerprint } from '@manyhands/core'
import type { AdmissionLedger } from '../admission-ledger.ts'
import type { AdmissionRequest, RuleVerdict } from '../admission-request.ts'
import type { PolicyBook } from '../policy-book.ts'

/** What rules look at besides the request. */
export interface AdmissionState {
  readonly ledger: AdmissionLedger
  readonly policy: PolicyBook
  readonly blocked: ReadonlySet<string>
  readonly runtimes: ReadonlyMap<string, { runtime: Runtime; fingerprint: RuntimeFingerprint }>
  draining(): boolean
  /** Attempts that are not over. */
  live(): number
  liveOf(client: string): number
  /** Disk that a client's attempts and waiting results have reserved, bytes. */
  diskOf(client: string): number
  /** What a client used in the last 24 hours: core-milliseconds, bytes in and out. */
  lastDayOf(client: string): { cpuMs: number; bytes: number }
  /** Bytes of clients' images that are in use, without the named one. */
  imagesInUse(without: string): number
  /** Attempts of a client in a row that broke a limit at once, and how long it has to wait for that, ms. */
  brokeLimits(client: string): { count: number; waitMs: number }
  /** In words what is short on the disk of this host; undefined while there is room. */
  diskShort(): string | undefined
  /** What the schedule says now, one verdict for each of its settings. */
  schedule(): readonly RuleVerdict[]
  /** What may be sent and received today. */
  readonly transfer: Pick<LocalTransferGovernor, 'usedUp' | 'standing'>
  /** Whether an artifact is here already. */
  holds(root: string): boolean
}

/** One thing that is asked of every request. */
export interface Rule {
  /** The setting that decides. */
  name: string
  /** Whether the same request may be allowed later without a change of policy. */
  temporary: boolean
  /** Whether it holds for what runs as well, when the owner changes it. */
  standing?: boolean
  /** In words why not, or undefined when the rule allows it. Synchronous and cheap. */
  refuse(request: AdmissionRequest, state: AdmissionState): string | undefined
  /** In words and numbers how it stands when it allows. */
  allow(request: AdmissionRequest, state: AdmissionState): string
}
