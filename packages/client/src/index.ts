export type {
  ActivePhase,
  ActiveTask,
  Client,
  ClientOptions,
  HostChange,
  HostVerdict,
  Job,
  JobCounts,
  JobEvent,
  JobProgress,
  JobSummary,
  LogLine,
  StreamedFile,
} from './client.ts'
export { createClient } from './create-client.ts'
export { JobFailedError } from './job-failed-error.ts'
export { tidyClientState } from './tidy-client-state.ts'
