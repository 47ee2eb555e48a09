export type {
  Client,
  ClientOptions,
  HostChange,
  HostVerdict,
  Job,
  JobCounts,
  JobEvent,
  JobProgress,
  JobSummary,
} from './client.ts'
export { createClient } from './create-client.ts'
