import type { ArtifactStore } from '@manyhands/core'
import { inputsHolder, taskInputsHolder } from './held-artifacts.ts'

/**
 * Which artifacts a job holds as inputs in the store: some for all of the job, others for single tasks, each of
 * which lets go of its own. A task holds for itself, so that none of them takes from another what both take.
 */
export class InputHolds {
  readonly #store: ArtifactStore
  readonly #job: string
  readonly #common = new Set<string>()
  readonly #ofTasks = new Map<string, Set<string>>()
  /** For how many tasks a root is held. */
  readonly #takers = new Map<string, number>()
  /** Roots that were let go of, and that the journal may still have. */
  #dropped = new Set<string>()
  #forgetting = false

  constructor(store: ArtifactStore, job: string) {
    this.#store = store
    this.#job = job
  }

  has(root: string): boolean {
    return this.#common.has(root) || this.#takers.has(root)
  }

  /** @param task - for which it is held; for all of the job when undefined */
  holderFor(task: string | undefined): string {
    return task === undefined ? inputsHolder(this.#job) : taskInputsHolder(this.#job, task)
  }

  /** The holder has it in the store. */
  note(root: string, task: string | undefined): void {
    if (task === undefined) {
      this.#common.add(root)
      return
    }
    const roots = this.#ofTasks.get(task) ?? new Set<string>()
    this.#ofTasks.set(task, roots)
    if (roots.has(root)) return
    roots.add(root)
    this.#takers.set(root, (this.#takers.get(root) ?? 0) + 1)
  }

  async letGo(task: string, forget: (roots: () => string[]) => Promise<unknown>): Promise<void> {
    const roots = this.#ofTasks.get(task)
    if (roots === undefined) return
    this.#ofTasks.delete(task)
    for (const root of roots) {
      const takers = this.#takers.get(root)! - 1
      if (takers > 0) this.#takers.set(root, takers)
      else this.#takers.delete(root)
      if (!this.has(root)) this.#dropped.add(root)
    }
    for (const root of roots) await this.#store.release(root, this.holderFor(task))
    // Those of many tasks are forgotten together.
    if (this.#forgetting) return
    this.#forgetting = true
    try {
      while (this.#dropped.size > 0) await forget(() => this.#unwanted())
    } finally {
      this.#forgetting = false
    }
  }

  async release(): Promise<void> {
    const held: [string | undefined, string[]][] = [[undefined, [...this.#common]]]
    for (const [task, roots] of this.#ofTasks) held.push([task, [...roots]])
    this.#common.clear()
    this.#ofTasks.clear()
    this.#takers.clear()
    for (const [task, roots] of held) {
      for (const root of roots) await this.#store.release(root, this.holderFor(task))
    }
  }

  /** Each is told once. */
  #unwanted(): string[] {
    const roots = [...this.#dropped].filter((root) => !this.has(root))
    this.#dropped = new Set()
    return roots
  }
}
