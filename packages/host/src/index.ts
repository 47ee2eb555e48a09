export type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
export { createHost } from './create-host.ts'
export type { DrainReport, Host, HostAttempt, HostOptions, HostTransfer } from './host.ts'
export type {
  ClientQuota,
  HostPolicy,
  PolicyOptions,
  ScheduleOptions,
  ShareOptions,
  TransferOptions,
  UsageVerdict,
} from './policy.ts'
export { type PolicyDocument, parsePolicyDocument } from './policy-document.ts'
export { thisComputer } from './sensors/this-computer.ts'
export type { HostSensors } from './sensors.ts'
export { tidyHostState } from './tidy-host-state.ts'
export type { ClientTotal, JobTotal, UsageSample, UsageTotals } from './usage-totals.ts'
