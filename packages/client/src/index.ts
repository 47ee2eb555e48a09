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
export { clientHasJob } from './client-has-job.ts'
export { createClient } from './create-client.ts'
export type { JobResumption } from './job-document.ts'
export { JobFailedError } from './job-failed-error.ts'
export { tidyClientState } from './tidy-client-state.ts'
