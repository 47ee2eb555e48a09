import type { Artifact } from '../artifacts/artifact-store.ts'
import { concurrently } from '../artifacts/concurrently.ts'
import { receiveFile } from '../artifacts/receiving-file.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { inTurns } from '../artifacts/turns.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FrameStream } from '../network/network.ts'
import type { DownloadTarget } from './block-pieces.ts'
import { blocksOf } from './blocks.ts'
import { Download } from './download.ts'
import type { FetchContext } from './fetch-context.ts'
import type { GuardedStream } from './guarded-stream.ts'
import { streamLane } from './receiving-lane.ts'
import { Sources } from './sources.ts'
import type { Found } from './transfer-messages.ts'
import type { WantedFiles } from './wanted-files.ts'

/** The files of one fetch, as long as it lasts, and whom they come from. */
export class ReceivingRoom {
  readonly #artifact: Artifact
  readonly #found: Found
  readonly #stream: FrameStream
  readonly #guarded: GuardedStream
  readonly #context: FetchContext
  #download: Download | undefined
  #sources: Sources | undefined

  constructor(
    artifact: Artifact,
    found: Found,
    stream: FrameStream,
    guarded: GuardedStream,
    context: FetchContext,
  ) {
    this.#artifact = artifact
    this.#found = found
    this.#stream = stream
    this.#guarded = guarded
    this.#context = context
  }

  async receive(files: WantedFiles): Promise<void> {
    const targets = new Map<number, DownloadTarget>()
    try {
      await concurrently(files.values(), TRANSFER.filesAtOnce, async ({ index, file }) => {
        const receiving = receiveFile(file, this.#context)
        targets.set(index, { file: receiving, present: await receiving.present() })
      })
      const download = this.#download ?? (await this.#begin())
      const missing = await download.plan(targets)
      this.#context.onMissing(missing)
      if (missing > 0) this.#connect(download, missing)
      await download.receive()
    } catch (error) {
      // Lanes may write as long as they are there.
      await this.#download?.close(toManyhandsError(error))
      throw error
    } finally {
      await concurrently(targets.values(), TRANSFER.filesAtOnce, ({ file }) => file.close())
    }
  }

  async close(failure?: ManyhandsError): Promise<void> {
    this.#sources?.close()
    await this.#download?.close(failure)
    if (
      failure === undefined &&
      this.#sources === undefined &&
      this.#guarded.failure === undefined
    ) {
      await this.#guarded.close()
      await this.#guarded.finish()
    }
  }

  async #begin(): Promise<Download> {
    const { network, governor, stallMs, signal, logger, onWritten, onSource } = this.#context
    const { swarms, shares, running } = this.#context
    const { root, manifest, size } = this.#artifact
    const shared = this.#found.ticket !== undefined && size > TRANSFER.bulkBytes
    const self = network.peerId
    const told = { stallMs, signal, logger, onWritten, onSource }
    const blocks = await inTurns(blocksOf(manifest), signal)
    const download = new Download({ manifest, blocks, self, shared, governor, ...told })
    this.#download = download
    if (shared && shares) {
      swarms.learn(root, this.#found.ticket!)
      running.set(root, { download, artifact: this.#artifact })
    }
    return download
  }

  /** Little comes over the stream that is there; for more it is worth looking around. */
  #connect(download: Download, missing: number): void {
    if (this.#sources !== undefined || download.provider(this.#stream.peer) !== undefined) return
    const { peer } = this.#stream
    const { stallMs } = this.#context
    if (missing <= TRANSFER.bulkBytes && this.#found.partial !== true) {
      let used = false
      download.addProvider({
        peer,
        origin: true,
        lanes: 1,
        openLane: async (events) => {
          if (used) throw new ManyhandsError('PEER_GONE', `${peer} ended the transfer half-way`)
          used = true
          return streamLane(this.#stream, { peer, stallMs }, events)
        },
      })
      return
    }
    const { root, size } = this.#artifact
    this.#sources = new Sources({ ...this.#context, root, size, download, found: this.#found })
    this.#sources.origin(this.#stream)
  }
}
