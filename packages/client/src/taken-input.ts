/** An input that another task of the job writes. */
export interface TakenInput {
  /** Where the task sees it. */
  path: string
  /** The key of the task that writes it. */
  task: string
  /** Relative to that task's /out; empty for all of it. */
  from: string
}

/** Bytes of what a task takes of others: of all of it, and by the host that has them. */
export interface TakenBytes {
  total: number
  at: ReadonlyMap<string, number>
}
