import type { ArtifactStore } from '@manyhands/core'
import { checkpointHolder } from '../held-artifacts.ts'
import type { CheckpointRow, CheckpointRows } from '../journal/checkpoint-rows.ts'
import type { Task } from '../task.ts'

/** As the journal has it, unless it is of a task that the journal does not have: a check of another one. */
export type KeptCheckpoint = CheckpointRow & { unjournaled?: true }

/** What a task's checkpoint goes by: a check of a task has its own, of which that task knows nothing. */
export const checkpointKey = ({ key, checks, fingerprint }: Task): string =>
  checks ? `${key} ${fingerprint}` : key

/**
 * What each task that is not over would go on from: one checkpoint, held in the store, named by the journal.
 * The one before is let go of when the next one is durable.
 */
export class KeptCheckpoints {
  readonly #rows: CheckpointRows
  readonly #store: ArtifactStore
  readonly #kept = new Map<string, Map<string, KeptCheckpoint>>()
  /** Holders of what is about to be forgotten, and what nobody is to see any more. */
  readonly #doubted = new Set<string>()
  /** By holder: resolves when what is changed now is changed. */
  readonly #changing = new Map<string, Promise<void>>()
  /** Jobs that have an artifact as a checkpoint, and how often. */
  readonly #jobsOf = new Map<string, Map<string, number>>()

  constructor(rows: CheckpointRows, store: ArtifactStore) {
    this.#rows = rows
    this.#store = store
    for (const row of rows.open()) this.#set(row)
  }

  get(job: string, key: string): KeptCheckpoint | undefined {
    return this.#doubted.has(checkpointHolder(job, key)) ? undefined : this.#row(job, key)
  }

  /** What these would go on from may be wrong: from now on there is none, until it is forgotten or trusted. */
  doubt(job: string, keys: readonly string[]): void {
    for (const key of keys) this.#doubted.add(checkpointHolder(job, key))
  }

  trust(job: string, keys: readonly string[]): void {
    for (const key of keys) this.#doubted.delete(checkpointHolder(job, key))
  }

  /** A job that has this artifact as a checkpoint. */
  jobOf(root: string): string | undefined {
    return this.#jobsOf.get(root)?.keys().next().value
  }

  /**
   * Changes what is kept of a task, one change after the other. Resolves when it is durable, with whether
   * anything changed.
   *
   * @param change - sees what is kept at that moment; undefined leaves it as it is
   * @throws as the journal; then everything is as it was
   */
  change(
    job: string,
    key: string,
    change: (before: KeptCheckpoint | undefined) => KeptCheckpoint | undefined,
  ): Promise<boolean> {
    const holder = checkpointHolder(job, key)
    const before = this.#changing.get(holder) ?? Promise.resolve()
    const changed = before.then(() => this.#change(job, key, change))
    const settled = changed.then(
      () => {},
      () => {},
    )
    this.#changing.set(holder, settled)
    void settled.then(() => {
      if (this.#changing.get(holder) === settled) this.#changing.delete(holder)
    })
    return changed
  }

  /** A task is over, or begins anew. */
  async forget(job: string, key: string): Promise<void> {
    // What is being written now is of before.
    await this.#changing.get(checkpointHolder(job, key))
    const row = this.#row(job, key)
    const root = this.#unset(job, key)
    this.#kept.get(job)?.delete(key)
    this.trust(job, [key])
    if (row === undefined) return
    if (!row.unjournaled) await this.#rows.remove(job, key)
    if (root !== undefined) await this.#store.release(root, checkpointHolder(job, key))
  }

  /** A job is over. */
  async forgetJob(job: string): Promise<void> {
    for (const key of [...(this.#kept.get(job)?.keys() ?? [])]) await this.forget(job, key)
    this.#kept.delete(job)
  }

  async #change(
    job: string,
    key: string,
    change: (before: KeptCheckpoint | undefined) => KeptCheckpoint | undefined,
  ): Promise<boolean> {
    const row = change(this.get(job, key))
    if (row === undefined) return false
    const holder = checkpointHolder(job, key)
    const known = this.#row(job, key)?.root
    if (row.root !== undefined) this.#store.retain(row.root, holder)
    try {
      if (!row.unjournaled) await this.#rows.put(row)
    } catch (cause) {
      if (row.root !== undefined && row.root !== known) await this.#store.release(row.root, holder)
      throw cause
    }
    // The older one goes when the newer one is durable, not before.
    const before = this.#set(row)
    if (before !== undefined && before !== row.root) await this.#store.release(before, holder)
    return true
  }

  #row(job: string, key: string): KeptCheckpoint | undefined {
    return this.#kept.get(job)?.get(key)
  }

  /** Returns the root of the one before. */
  #set(row: KeptCheckpoint): string | undefined {
    const { job, key, root } = row
    const before = this.#unset(job, key)
    const rows = this.#kept.get(job) ?? new Map<string, KeptCheckpoint>()
    this.#kept.set(job, rows.set(key, row))
    if (root === undefined) return before
    this.#store.retain(root, checkpointHolder(job, key))
    const jobs = this.#jobsOf.get(root) ?? new Map<string, number>()
    this.#jobsOf.set(root, jobs.set(job, (jobs.get(job) ?? 0) + 1))
    return before
  }

  #unset(job: string, key: string): string | undefined {
    const { root } = this.#row(job, key) ?? {}
    if (root === undefined) return undefined
    const jobs = this.#jobsOf.get(root)
    const left = (jobs?.get(job) ?? 0) - 1
    if (left > 0) jobs!.set(job, left)
    else jobs?.delete(job)
    if (jobs?.size === 0) this.#jobsOf.delete(root)
    return root
  }
}
