import type { BoundedOutput } from '@manyhands/core'
import {
  decodeEnd,
  decodeOutFile,
  decodeStatus,
  expectLength,
  FROM_GUEST,
  type Frame,
  type GuestEnd,
  GuestFault,
  type GuestStatus,
} from './guest-protocol.ts'
import type { OutputWriter } from './output-writer.ts'

export interface GuestReportOptions {
  output: BoundedOutput
  writer: OutputWriter
  onStatus(status: GuestStatus): void
  onLimited(id: number): void
  onEnd(end: GuestEnd): void
}

/** What a guest tells from its task's start to its own end, in the only order that there is. */
export class GuestReport {
  readonly #options: GuestReportOptions
  #end: GuestEnd | undefined
  #whole: boolean | undefined
  #skipped: string | undefined

  constructor(options: GuestReportOptions) {
    this.#options = options
  }

  /** How the task ended; undefined while it runs. */
  get end(): GuestEnd | undefined {
    return this.#end
  }

  /** Whether everything below /out was handed over; undefined until the guest is done. */
  get whole(): boolean | undefined {
    return this.#whole
  }

  /** What below /out cannot travel, the first of it, in words. */
  get skipped(): string | undefined {
    return this.#skipped
  }

  /** @throws GuestFault, OutputTooLarge, what the host's file system throws */
  async take({ type, body }: Frame): Promise<void> {
    const { output, writer } = this.#options
    if (this.#whole !== undefined) throw new GuestFault('a word after the last')
    if (this.#end === undefined) {
      if (type === FROM_GUEST.stdout) output.push('stdout', body)
      else if (type === FROM_GUEST.stderr) output.push('stderr', body)
      else if (type === FROM_GUEST.status) this.#options.onStatus(decodeStatus(body))
      else if (type === FROM_GUEST.limited) this.#limited(body)
      else if (type === FROM_GUEST.ended) this.#ended(decodeEnd(body))
      else throw new GuestFault(`a frame of type ${type} while the task runs`)
      return
    }
    if (type === FROM_GUEST.outData) await writer.data(body)
    else if (type === FROM_GUEST.outDirectory) await writer.directory(body)
    else if (type === FROM_GUEST.outFile) {
      const { path, size, executable } = decodeOutFile(body)
      await writer.file(path, size, executable)
    } else if (type === FROM_GUEST.outSkipped) this.#skip(body)
    else if (type === FROM_GUEST.done) this.#done(body)
    else throw new GuestFault(`a frame of type ${type} after the task`)
  }

  #limited(body: Buffer): void {
    expectLength(body, 4, 'limit')
    this.#options.onLimited(body.readUInt32LE(0))
  }

  #ended(end: GuestEnd): void {
    this.#end = end
    this.#options.onStatus(end.status)
    this.#options.onEnd(end)
  }

  #skip(body: Buffer): void {
    const [why = '', path = ''] = body.toString('utf8', 0, 1200).split('\0')
    this.#skipped ??= `/out/${path} ${why} and was left out`
  }

  #done(body: Buffer): void {
    expectLength(body, 1, 'last word')
    this.#options.writer.finish()
    this.#whole = body[0] === 1
  }
}
