/** What the store's holders stand for, for people. */
export const HOLDS = {
  results: 'results of jobs',
  inputs: 'inputs and images of jobs that are not over',
  streamed: 'files of tasks that run',
  checkpoints: 'checkpoints of tasks that are not over',
} as const

/** Holder of the inputs of a job that is not over. */
export const inputsHolder = (job: string) => `${job} inputs`

/** Holder of the inputs of one task alone. */
export const taskInputsHolder = (job: string, owner: string) => `${inputsHolder(job)} of ${owner}`

/** Holder of what a task goes on from. A key may have spaces: that it is one is said in front. */
export const checkpointHolder = (job: string, key: string) => `checkpoint ${job} ${key}`

/** Says what a holder in a client's store stands for. Results are held by the id of their job. */
export function reasonOf(holder: string): string {
  if (holder.startsWith('checkpoint ')) return HOLDS.checkpoints
  if (holder.split(' ', 2)[1] === 'inputs') return HOLDS.inputs
  return holder.includes(' ') ? HOLDS.streamed : HOLDS.results
}
