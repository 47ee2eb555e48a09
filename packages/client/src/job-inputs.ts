import {
  type Artifact,
  type ArtifactStore,
  type Input,
  ManyhandsError,
  type Network,
  type TaskOutputRef,
  toManyhandsError,
  type WireInput,
} from '@manyhands/core'
import { InputHolds } from './input-holds.ts'
import type { JobInputRow } from './journal/job-rows.ts'
import { inputPath } from './local-paths.ts'
import { ITEMS_PATH, itemLines } from './split-items.ts'
import type { TakenInput } from './taken-input.ts'

interface Taking {
  signal?: AbortSignal | undefined
  /** For which task of the job alone, see {@link inputsOwner}; for all of them else. */
  task?: string
}

type OwnInput = Exclude<Input, TaskOutputRef>

/**
 * What one job takes as inputs, held in the store from the moment in which it is known until the job is
 * over, or until the one task that takes it needs it no more. Bytes stay after that while there is room, as
 * the next job often has the same.
 */
export class JobInputs {
  readonly #store: ArtifactStore
  readonly #holds: InputHolds
  /** Roots that another process took, and that cannot be given any more, with the reason. */
  readonly gone = new Map<string, ManyhandsError>()
  /** Roots that another machine took, and that are not here yet, with their paths there. */
  readonly awaited = new Map<string, string | undefined>()
  #unsaved: JobInputRow[] = []
  #released = false

  constructor(store: ArtifactStore, job: string) {
    this.#store = store
    this.#holds = new InputHolds(store, job)
  }

  /** Whether hosts may fetch it for this job. */
  has(root: string): boolean {
    return this.#holds.has(root)
  }

  /** Somebody else holds it for all of the job. */
  add(root: string): void {
    this.#holds.note(root, undefined)
  }

  /** A file or directory of this computer, by reference. @throws as ArtifactStore.addPath */
  async path(path: string, { signal, task }: Taking = {}): Promise<Artifact> {
    const absolute = inputPath(path)
    const artifact = await this.#store.addPath(path, {
      signal,
      holder: this.#holds.holderFor(task),
    })
    return this.#took(artifact, task, absolute)
  }

  /** @param at - where the task sees it, for errors */
  async take(input: OwnInput, at: string, taking: Taking = {}): Promise<Artifact> {
    const { task } = taking
    if (typeof input === 'string') return this.path(input, taking)
    if (input instanceof Uint8Array) return this.#bytes(input, task)
    if (input instanceof Blob) return this.#bytes(await input.bytes(), task)
    if ('text' in input) return this.#bytes(new TextEncoder().encode(input.text), task)
    const artifact = await this.#known(input.artifact, task)
    if (artifact !== undefined) return this.#took(artifact, task)
    throw new ManyhandsError(
      'INPUT_UNREADABLE',
      `input ${at}: artifact ${input.artifact} is not here`,
    )
  }

  /** By the path at which the task sees each. What other tasks write is only noted. */
  async takeAll(
    named: Record<string, Input> | undefined,
    taking: Taking = {},
  ): Promise<{ inputs: WireInput[]; taken: TakenInput[] }> {
    const inputs: WireInput[] = []
    const taken: TakenInput[] = []
    for (const [path, input] of Object.entries(named ?? {})) {
      if (typeof input === 'object' && 'task' in input) {
        const from = input.path === '/out' ? '' : input.path.slice('/out/'.length)
        taken.push({ path, task: input.task, from })
        continue
      }
      const { root, size } = await this.take(input, path, taking)
      inputs.push({ path, root, bytes: size })
    }
    inputs.sort((a, b) => (a.path < b.path ? -1 : 1))
    return { inputs, taken }
  }

  /** A part of a result that is here, for another task of the job. Undefined when it has no such part. */
  async part(root: string, path: string, task: string): Promise<Artifact | undefined> {
    const part = await this.#store.part(root, path, this.#holds.holderFor(task))
    if (part !== undefined) this.#holds.note(part.root, task)
    return part
  }

  /** Inputs of a task that finds its items in a file beside them. */
  async withItems(
    inputs: readonly WireInput[],
    items: readonly unknown[],
    task: string,
  ): Promise<WireInput[]> {
    const { root, size } = await this.#bytes(itemLines(items), task)
    const all = [...inputs, { path: ITEMS_PATH, root, bytes: size }]
    return all.sort((a, b) => (a.path < b.path ? -1 : 1))
  }

  /**
   * A task needs nothing any more. What no other one of the job takes is not held any longer.
   *
   * @param forget - takes out of the journal what it need not have; the roots are asked for inside a transaction
   */
  async letGo(task: string, forget: (roots: () => string[]) => Promise<unknown>): Promise<void> {
    await this.#holds.letGo(task, forget)
  }

  /** What was taken and is not in the journal yet. */
  unsaved(): JobInputRow[] {
    const rows = this.#unsaved
    this.#unsaved = []
    // Some may have been let go of before they were written anywhere.
    return rows.filter(({ root }) => this.has(root))
  }

  /** Takes what an earlier process took; what is not the same any more is {@link gone}. */
  async restore(rows: JobInputRow[], signal?: AbortSignal): Promise<void> {
    this.#released = false
    for (const { root } of rows) {
      this.#store.retain(root, this.#holds.holderFor(undefined))
      this.#holds.note(root, undefined)
    }
    for (const { root, path } of rows) {
      try {
        const found = path === undefined ? await this.#known(root) : await this.#again(path, signal)
        if (found?.root === root) continue
        const what = path === undefined ? `artifact ${root}` : path
        this.gone.set(
          root,
          new ManyhandsError(
            path === undefined ? 'INPUT_UNREADABLE' : 'INPUT_CHANGED',
            `input ${what} is not what it was when the job was submitted`,
          ),
        )
      } catch (cause) {
        signal?.throwIfAborted()
        this.gone.set(root, toManyhandsError(cause, 'INPUT_UNREADABLE'))
      }
    }
  }

  /** What another machine took for the job, as far as it is here already; the rest is {@link awaited}. */
  async expect(rows: JobInputRow[], signal?: AbortSignal): Promise<void> {
    this.#released = false
    for (const { root, path } of rows) {
      this.#holds.note(root, undefined)
      if ((await this.#known(root)) !== undefined) continue
      this.awaited.set(root, path)
      // The same file may lie at the same place here.
      if (path !== undefined) await this.give(path, signal).catch(() => {})
    }
  }

  /** A file or directory of this computer that may be one that is awaited. @throws as {@link path} */
  async give(path: string, signal?: AbortSignal): Promise<void> {
    const artifact = await this.#again(path, signal)
    if (this.awaited.delete(artifact.root)) this.#unsaved.push({ root: artifact.root, path })
  }

  /** Takes what is awaited from a peer that has it. @throws as ArtifactStore.fetch */
  async fetchAwaited(root: string, from: { network: Network; peer: string }): Promise<void> {
    this.#store.retain(root, this.#holds.holderFor(undefined))
    try {
      await this.#store.fetch(root, from)
      this.awaited.delete(root)
      this.#store.keep(root)
    } catch (cause) {
      await this.#store.release(root, this.#holds.holderFor(undefined))
      throw cause
    }
  }

  /** The job is over, or never began. */
  async release(): Promise<void> {
    this.#released = true
    await this.#holds.release()
  }

  async #again(path: string, signal: AbortSignal | undefined): Promise<Artifact> {
    const artifact = await this.#store.addPath(path, {
      signal,
      holder: this.#holds.holderFor(undefined),
    })
    // Held for nothing when it is another one now, until the job is over.
    this.#holds.note(artifact.root, undefined)
    return artifact
  }

  async #known(root: string, task?: string): Promise<Artifact | undefined> {
    const holder = this.#holds.holderFor(task)
    this.#store.retain(root, holder)
    const artifact = await this.#store.get(root)
    if (artifact === undefined) await this.#store.release(root, holder)
    return artifact
  }

  async #bytes(bytes: Uint8Array, task: string | undefined): Promise<Artifact> {
    const added = await this.#store.addBytes(bytes, { holder: this.#holds.holderFor(task) })
    const artifact = this.#took(added, task)
    this.#store.keep(artifact.root)
    return artifact
  }

  #took(artifact: Artifact, task: string | undefined, path?: string): Artifact {
    const { root } = artifact
    if (!this.has(root)) this.#unsaved.push({ root, path })
    this.#holds.note(root, task)
    // It came when nobody waits for it any more.
    if (this.#released) void this.#store.release(root, this.#holds.holderFor(task)).catch(() => {})
    return artifact
  }
}
