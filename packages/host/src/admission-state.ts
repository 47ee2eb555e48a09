import type { Runtime, RuntimeFingerprint } from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { PolicyBook } from './policy-book.ts'
import type { AdmissionState } from './rules/rule.ts'

export interface AdmissionStateParts {
  ledger: AdmissionLedger
  policy: PolicyBook
  blocked: ReadonlySet<string>
  runtimes: ReadonlyMap<string, { runtime: Runtime; fingerprint: RuntimeFingerprint }>
  attempts: AttemptRegistry
  draining(): boolean
  lastDayOf: AdmissionState['lastDayOf']
  imagesInUse: AdmissionState['imagesInUse']
  brokeLimits: AdmissionState['brokeLimits']
  diskShort: AdmissionState['diskShort']
  schedule: AdmissionState['schedule']
  transfer: AdmissionState['transfer']
  holds: AdmissionState['holds']
}

/** What rules look at, always of now. */
export function admissionState(parts: AdmissionStateParts): AdmissionState {
  const { attempts, ledger, ...rest } = parts
  return {
    ...rest,
    ledger,
    live: () => attempts.liveCount,
    liveOf: (client) =>
      attempts.all().reduce((n, { client: of, over }) => n + (of === client && !over ? 1 : 0), 0),
    diskOf: (client) =>
      attempts
        .all()
        .filter((attempt) => attempt.client === client)
        .reduce((bytes, { id }) => bytes + (ledger.of(id)?.diskBytes ?? 0), 0),
  }
}
