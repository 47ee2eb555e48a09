import { BoundedOutput, LIMITS, type RuntimeOutput } from '@manyhands/core'
import { OutputDemultiplexer } from './output-demultiplexer.ts'
import { PacedReading } from './paced-reading.ts'

/** What a container writes, read from its attach stream into bounded memory. */
export class ContainerOutput {
  readonly #attached: NodeJS.ReadableStream | undefined
  readonly #kept = new BoundedOutput(LIMITS.logBytes)
  readonly #reading: PacedReading | undefined

  /**
   * @param attached undefined for a container that has ended: there is nothing to read
   * @param ended called at the stream's end, which comes a moment before the engine tells of the container's
   */
  constructor(attached: NodeJS.ReadableStream | undefined, ended: () => void) {
    this.#attached = attached
    if (attached === undefined) {
      this.#kept.close()
      return
    }
    const demultiplexer = new OutputDemultiplexer((stream, bytes) => this.#kept.push(stream, bytes))
    this.#reading = new PacedReading(attached, (bytes) => demultiplexer.push(bytes))
    attached.once('end', ended)
    for (const end of ['end', 'close', 'error']) attached.on(end, () => this.#kept.close())
  }

  read(): AsyncIterable<RuntimeOutput> {
    return this.#kept.read()
  }

  /** The container has ended: resolves when the rest of a flood is here. */
  async rest(): Promise<void> {
    await this.#reading?.rest()
  }

  /** Reads no more. */
  close(): void {
    ;(this.#attached as { destroy?: () => void } | undefined)?.destroy?.()
    this.#kept.close()
  }
}
