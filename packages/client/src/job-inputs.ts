import { type Artifact, type ArtifactStore, type Input, ManyhandsError } from '@manyhands/core'
import { inputsHolder } from './held-artifacts.ts'

/**
 * What one job takes as inputs, held in the store from the moment in which it is known until the job is
 * over. Bytes stay after that while there is room, as the next job often has the same.
 */
export class JobInputs {
  readonly #store: ArtifactStore
  readonly #holder: string
  /** Roots of the artifacts that hosts may fetch for this job. */
  readonly roots = new Set<string>()
  #released = false

  constructor(store: ArtifactStore, job: string) {
    this.#store = store
    this.#holder = inputsHolder(job)
  }

  /** A file or directory of this computer, by reference. @throws as ArtifactStore.addPath */
  async path(path: string, signal?: AbortSignal): Promise<Artifact> {
    return this.#took(await this.#store.addPath(path, { signal, holder: this.#holder }))
  }

  /** @param at - where the task sees it, for errors */
  async take(input: Input, at: string, signal?: AbortSignal): Promise<Artifact> {
    if (typeof input === 'string') return this.path(input, signal)
    if (input instanceof Uint8Array) return this.#bytes(input)
    if ('text' in input) return this.#bytes(new TextEncoder().encode(input.text))
    const { artifact: root } = input
    this.#store.retain(root, this.#holder)
    const artifact = await this.#store.get(root)
    if (artifact !== undefined) return this.#took(artifact)
    await this.#store.release(root, this.#holder)
    throw new ManyhandsError('INPUT_UNREADABLE', `input ${at}: artifact ${root} is not here`)
  }

  /** The job is over, or never began. */
  async release(): Promise<void> {
    this.#released = true
    for (const root of this.roots) await this.#store.release(root, this.#holder)
  }

  async #bytes(bytes: Uint8Array): Promise<Artifact> {
    const artifact = this.#took(await this.#store.addBytes(bytes, { holder: this.#holder }))
    this.#store.keep(artifact.root)
    return artifact
  }

  #took(artifact: Artifact): Artifact {
    this.roots.add(artifact.root)
    // It came when nobody waits for it any more.
    if (this.#released) void this.#store.release(artifact.root, this.#holder).catch(() => {})
    return artifact
  }
}
