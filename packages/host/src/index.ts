export { createHost } from './create-host.ts'
export type {
  AdmissionRequest,
  DrainReport,
  Host,
  HostAttempt,
  HostOptions,
  PolicyOptions,
  RuleVerdict,
  ShareOptions,
  UsageSample,
} from './host.ts'
