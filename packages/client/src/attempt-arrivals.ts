import { LIMITS, type StreamedOutput } from '@manyhands/core'

/** Outputs that came, or are to come, from one attempt that is not over: the latest of each path. */
export class AttemptArrivals {
  readonly #files = new Map<string, StreamedOutput>()
  #announced = 0
  #bytes = 0
  /** What became of the attempt's outputs: its task's result, or nothing. */
  outcome: 'result' | 'provisional' | undefined
  /** Files that are here. */
  readonly here = new Set<string>()

  /**
   * Takes note of a file that the host has. Returns false when it is known, or more than the attempt may
   * have: a host that was given so much disk cannot hold more.
   */
  note(file: StreamedOutput, diskBytes: number): boolean {
    const before = this.#files.get(file.path)
    if (before?.root === file.root) return false
    const bytes = this.#bytes + file.bytes - (before?.bytes ?? 0)
    if (this.#announced >= LIMITS.outputsStreamed || bytes > diskBytes) return false
    this.#announced += 1
    this.#bytes = bytes
    this.#files.set(file.path, file)
    return true
  }

  /** Whether a file is the newest of its path. */
  isLatest({ path, root }: StreamedOutput): boolean {
    return this.#files.get(path)?.root === root
  }

  /** It could not be had: when it is named again it is tried again. */
  forget(file: StreamedOutput): void {
    if (!this.isLatest(file)) return
    this.#files.delete(file.path)
    this.#bytes -= file.bytes
  }
}
