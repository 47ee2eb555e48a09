import {
  parseByteSize,
  parseDuration,
  parseTransferCaps,
  type TransferRules,
} from '@manyhands/core'
import { resolveShare } from './admission-ledger.ts'
import type { ClientQuota, HostPolicy, PolicyOptions, TransferOptions } from './policy.ts'
import { checkPolicy } from './policy-document.ts'
import { programName } from './sensors/program-name.ts'
import { parseWeekHours, type WeekHours } from './week-hours.ts'

/** A client's quota as numbers. What is undefined is not limited. */
export interface Quota {
  attempts?: number
  cpuMsPerDay?: number
  diskBytes?: number
  bytesPerDay?: number
}

/** The schedule as numbers. What is undefined is not asked. */
export interface Schedule {
  hours?: WeekHours
  idleMs?: number
  notOnBattery: boolean
  /** As sensors call them; empty: none. */
  pauseWhile: readonly string[]
  evictAfterMs: number
}

/** Part of the lent disk that images of clients may take when nothing else is said. */
const IMAGE_SHARE = 0.4

interface InForce {
  document: HostPolicy
  maxRuntimeMs: number
  maxAttempts: number
  imageCacheBytes: number
  perClient: Quota
  clients: ReadonlyMap<string, Quota>
  schedule: Schedule
  transfer: TransferRules
}

/**
 * The owner's rules in force: one document, and the numbers that were read from it once. It is replaced
 * as a whole, so nobody ever sees half of a change.
 */
export class PolicyBook {
  #inForce: InForce

  /** @throws CONFIG_INVALID naming the setting */
  constructor(policy: HostPolicy) {
    this.#inForce = inForce(checkPolicy(policy))
  }

  /** As the owner wrote it, functions included; frozen. */
  get document(): HostPolicy {
    return this.#inForce.document
  }

  get rules(): PolicyOptions {
    return this.#inForce.document.policy ?? {}
  }

  get maxRuntimeMs(): number {
    return this.#inForce.maxRuntimeMs
  }

  get maxAttempts(): number {
    return this.#inForce.maxAttempts
  }

  get imageCacheBytes(): number {
    return this.#inForce.imageCacheBytes
  }

  /** Bytes of inputs that are kept for later jobs, for a share of so much disk. */
  keepBytes(diskBytes: number): number {
    const { keep } = this.document.share ?? {}
    return keep === undefined ? diskBytes / 2 : parseByteSize(keep)
  }

  get schedule(): Schedule {
    return this.#inForce.schedule
  }

  get transfer(): TransferRules {
    return this.#inForce.transfer
  }

  /** Whether other hosts may get from this one what their clients sent to it. */
  get givesToHosts(): boolean {
    return this.#inForce.document.transfer?.giveToHosts ?? true
  }

  /** A client's own quota, or the one for everybody. */
  quotaOf(client: string): Quota {
    return this.#inForce.clients.get(client) ?? this.#inForce.perClient
  }

  /**
   * Replaces the sections that a change names, whole ones.
   *
   * @throws CONFIG_INVALID naming the setting; then nothing has changed
   */
  replace(change: HostPolicy): void {
    const given = Object.entries(checkPolicy(change)).filter(([, section]) => section !== undefined)
    this.#inForce = inForce({ ...this.document, ...Object.fromEntries(given) })
  }
}

function inForce(document: HostPolicy): InForce {
  const { policy = {}, schedule = {}, transfer } = document
  const { perClient, clients } = policy.quotas ?? {}
  return {
    document: frozen(document),
    maxRuntimeMs: parseDuration(policy.maxRuntime ?? '24h'),
    maxAttempts: policy.maxAttempts ?? 1024,
    imageCacheBytes:
      policy.imageCache === undefined
        ? Math.floor(resolveShare(document.share).diskBytes * IMAGE_SHARE)
        : parseByteSize(policy.imageCache),
    perClient: quota(perClient),
    clients: new Map(Object.entries(clients ?? {}).map(([client, own]) => [client, quota(own)])),
    schedule: {
      hours: schedule.hours === undefined ? undefined : parseWeekHours(schedule.hours),
      idleMs:
        schedule.onlyWhenIdle === undefined ? undefined : parseDuration(schedule.onlyWhenIdle),
      notOnBattery: schedule.notOnBattery ?? false,
      pauseWhile: (schedule.pauseWhile ?? []).map(programName),
      evictAfterMs: parseDuration(schedule.evictAfter ?? '10m'),
    },
    transfer: { ...parseTransferCaps(transfer), daily: dailyQuota(transfer?.daily) },
  }
}

function quota({ attempts, cpuHoursPerDay, disk, transferPerDay }: ClientQuota = {}): Quota {
  return {
    attempts,
    cpuMsPerDay: cpuHoursPerDay === undefined ? undefined : cpuHoursPerDay * 3_600_000,
    diskBytes: disk === undefined ? undefined : parseByteSize(disk),
    bytesPerDay: transferPerDay === undefined ? undefined : parseByteSize(transferPerDay),
  }
}

function dailyQuota({ upload, download }: TransferOptions['daily'] = {}): TransferRules['daily'] {
  return {
    ...(upload === undefined ? {} : { upload: parseByteSize(upload) }),
    ...(download === undefined ? {} : { download: parseByteSize(download) }),
  }
}

/** A reader of the policy in force does not change it by accident. */
function frozen<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) frozen(inner)
  return Object.freeze(value)
}
