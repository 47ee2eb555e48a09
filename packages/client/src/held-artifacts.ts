/** What the store's holders stand for, for people. */
export const HOLDS = {
  results: 'results of jobs',
  inputs: 'inputs and images of jobs that are not over',
  streamed: 'files of tasks that run',
} as const

/** Holder of the inputs of a job that is not over. */
export const inputsHolder = (job: string) => `${job} inputs`

/** Says what a holder in a client's store stands for. Results are held by the id of their job. */
export function reasonOf(holder: string): string {
  if (holder.endsWith(inputsHolder(''))) return HOLDS.inputs
  return holder.includes(' ') ? HOLDS.streamed : HOLDS.results
}
