import type { Manifest, TransferSource } from '../artifacts/artifact-store.ts'
import { chunkOffset } from '../artifacts/chunk-layout.ts'
import type { TransferGovernor } from '../artifacts/transfer-governor.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { inTurns, type Work } from '../artifacts/turns.ts'
import type { ErrorCode } from '../error-table.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { Logger } from '../network/network.ts'
import { BlockBoard } from './block-board.ts'
import { startOf } from './block-choice.ts'
import { BlockNews } from './block-news.ts'
import { BlockPicker } from './block-picker.ts'
import { bytesOf, type DownloadTarget, missingPieces } from './block-pieces.ts'
import { BlockSet } from './block-set.ts'
import type { Block } from './blocks.ts'
import type { ReceivePiece } from './lane-messages.ts'
import { type Flying, Provider } from './provider.ts'
import type { LaneEvents, ReceivingLane } from './receiving-lane.ts'

export interface DownloadOptions {
  manifest: Manifest
  /** Those of the manifest. */
  blocks: Block[]
  self: string
  /** Whether others may fetch the same: then each begins elsewhere. */
  shared: boolean
  governor: TransferGovernor | undefined
  /** How long a peer may let a transfer stall, ms. */
  stallMs: number
  signal: AbortSignal
  logger: Logger | undefined
  /** Bytes verified and written since the last call. */
  onWritten(bytes: number): void
  onSource(source: TransferSource): void
}

/** Times of a stall that all may wait for somebody who has something: it may be coming there slowly. */
const WAITS = 4

/** Why peers are named to the owner, and not only left. */
const MISDEEDS: Partial<Record<ErrorCode, string>> = {
  ARTIFACT_CORRUPT: 'a peer sent wrong bytes',
  FRAME_TOO_LARGE: 'a peer broke the protocol',
  PROTOCOL: 'a peer broke the protocol',
  TIMEOUT: 'a peer let a transfer stall',
}

/**
 * Brings the missing blocks of an artifact here, from everybody who has them: plans who is asked for
 * what, and knows which are here. It belongs to one fetch; who gives content is added as it is found.
 */
export class Download {
  readonly #options: DownloadOptions
  readonly #blocks: Block[]
  /** What others may have of us. */
  readonly have: BlockSet
  readonly #board: BlockBoard
  readonly #picker: BlockPicker
  #targets: ReadonlyMap<number, DownloadTarget> = new Map()
  readonly #providers = new Map<string, Provider>()
  readonly #members = new Map<string, BlockSet>()
  readonly #news = new BlockNews()
  readonly #writing = new Set<Promise<void>>()
  /** Providers whose lanes have not ended yet. */
  readonly #leaving = new Set<Promise<void>>()
  #movedAt = performance.now()
  #rescue: NodeJS.Timeout | undefined
  #round: PromiseWithResolvers<void> | undefined
  #failure: ManyhandsError | undefined
  #closing: Promise<void> | undefined

  constructor(options: DownloadOptions) {
    this.#options = options
    this.#blocks = options.blocks
    this.have = new BlockSet(this.#blocks.length)
    const { self, shared } = options
    const { length } = this.#blocks
    this.#board = new BlockBoard(length, shared ? startOf(self, length) : 0)
    this.#picker = new BlockPicker({
      self,
      shared,
      board: this.#board,
      providers: this.#providers,
      members: this.#members,
      stands: () => this.#stands(),
    })
  }

  get blocks(): number {
    return this.#blocks.length
  }

  get providers(): Iterable<Provider> {
    return this.#providers.values()
  }

  /** Hears of blocks as they are here. */
  listen(listener: (blocks: number[]) => void): () => void {
    return this.#news.listen(listener)
  }

  /** Lanes worth having to one that gives all of it: those that make files stand in each other's way. */
  get lanes(): number {
    let bytes = 0
    for (const pieces of this.#board.orders) {
      for (const { length, temporary } of pieces) if (temporary === undefined) bytes += length
    }
    return bytes > TRANSFER.secondLaneBytes ? TRANSFER.lanesPerPeer : 1
  }

  /** Another peer that has blocks. */
  addProvider(given: {
    peer: string
    origin: boolean
    has?: BlockSet
    lanes: number
    openLane(events: LaneEvents): Promise<ReceivingLane>
  }): Provider {
    const provider = new Provider({
      ...given,
      has: given.has,
      governor: this.#options.governor,
      signal: this.#options.signal,
      windowBytes: (from) => this.#picker.windowBytes(from),
      wants: (from) => this.#picker.pick(from) !== undefined,
      choose: (from, bytes) => this.#picker.choose(from, bytes),
      done: (flying) => this.#done(flying),
      dropped: (flying) => this.#dropped(flying),
      lost: (from, error) => this.#lost(from, error),
    })
    this.#providers.set(given.peer, provider)
    if (!given.origin && given.has !== undefined) this.#members.set(given.peer, given.has)
    this.#movedAt = performance.now()
    provider.fill()
    return provider
  }

  provider(peer: string): Provider | undefined {
    return this.#providers.get(peer)
  }

  /** News of a provider: there may be more to ask it for. */
  poke(peer: string): void {
    this.#providers.get(peer)?.fill()
  }

  /** Takes files to receive. Returns how many bytes are missing of them. */
  async plan(targets: ReadonlyMap<number, DownloadTarget>): Promise<number> {
    this.#targets = targets
    await inTurns(this.#plan(), this.#options.signal)
    let bytes = 0
    for (const pieces of this.#board.orders) bytes += bytesOf(pieces)
    return bytes
  }

  /** Resolves when all that was planned is here. */
  async receive(): Promise<void> {
    if (this.#board.left === 0) return
    if (this.#failure !== undefined) throw this.#failure
    this.#round = Promise.withResolvers()
    const { signal } = this.#options
    const onAbort = () => this.#fail(toManyhandsError(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    this.#rescue = setInterval(() => this.#look(), TRANSFER.rescueMs / 4)
    this.#rescue.unref()
    try {
      if (signal.aborted) onAbort()
      this.#fill()
      // Whatever fails from here on, the round has it: it is waited for, or nobody would catch it.
      await this.#round.promise
    } finally {
      clearInterval(this.#rescue)
      signal.removeEventListener('abort', onAbort)
      this.#round = undefined
    }
  }

  /** Ends all lanes. Resolves when nothing is written any more. */
  close(error?: ManyhandsError): Promise<void> {
    this.#closing ??= this.#close(error)
    return this.#closing
  }

  async #close(error?: ManyhandsError): Promise<void> {
    if (error === undefined) {
      const last: number[] = []
      for (let block = 0; block < this.have.size; block++)
        if (this.have.add(block)) last.push(block)
      this.#news.tell(last)
    }
    this.#news.end()
    for (const provider of this.#providers.values()) this.#report(provider.summary())
    await Promise.all([...this.#providers.values()].map((provider) => provider.close(error)))
    await Promise.all(this.#leaving)
    await Promise.allSettled(this.#writing)
  }

  *#plan(): Work<void> {
    const { files } = this.#options.manifest
    const told: number[] = []
    for (const [number, block] of this.#blocks.entries()) {
      yield
      if (this.have.has(number)) continue
      const pieces: ReceivePiece[] = []
      let whole = true
      for (const { file, first, count } of block) {
        const target = this.#targets.get(file)
        // What another transfer receives, or what was here before, is told when all is here.
        if (target === undefined) whole = false
        else pieces.push(...missingPieces(files[file]!, { file, first, count }, target))
      }
      if (pieces.length === 0) {
        if (whole && this.have.add(number)) told.push(number)
        continue
      }
      this.#board.add(number, pieces)
    }
    this.#news.tell(told)
  }

  #fill(): void {
    for (const provider of this.#providers.values()) provider.fill()
  }

  #stands(): boolean {
    return performance.now() - this.#movedAt > TRANSFER.rescueMs
  }

  #done({ blocks }: Flying): void {
    const done: [block: number, pieces: ReceivePiece[]][] = []
    for (const block of blocks) {
      const pieces = this.#board.came(block)
      if (pieces !== undefined) done.push([block, pieces])
    }
    if (done.length === 0) return
    this.#movedAt = performance.now()
    const writing = this.#take(done)
      .catch((error) => this.#fail(toManyhandsError(error)))
      .finally(() => this.#writing.delete(writing))
    this.#writing.add(writing)
  }

  /** The chunks are in their files: the files know it, and get their names when they are whole. */
  async #take(done: [block: number, pieces: ReceivePiece[]][]): Promise<void> {
    for (const [block, pieces] of done) {
      const parts = this.#blocks[block]!
      for (const { file, position, lengths } of pieces) {
        const entry = this.#options.manifest.files[file]!
        let chunk = parts.find((each) => each.file === file)!.first
        while (chunkOffset(entry, chunk) < position) chunk += 1
        await this.#targets.get(file)!.file.written(chunk, lengths.length)
      }
    }
    const blocks = done.map(([block]) => block)
    this.#options.onWritten(done.reduce((sum, [, pieces]) => sum + bytesOf(pieces), 0))
    this.#news.tell(blocks.filter((block) => this.#isWhole(block) && this.have.add(block)))
    this.#board.tookOver(done.length)
    if (this.#board.left === 0) this.#round?.resolve()
    else this.#fill()
  }

  #isWhole(block: number): boolean {
    return this.#blocks[block]!.every(({ file }) => this.#targets.has(file))
  }

  #dropped({ blocks }: Flying): void {
    for (const block of blocks) {
      const others = this.#providers.values().some((provider) => provider.asksFor(block))
      if (!others) this.#board.drop(block)
    }
  }

  #lost(provider: Provider, error: ManyhandsError): void {
    const { logger } = this.#options
    const { peer } = provider
    const misdeed = MISDEEDS[error.code]
    if (misdeed !== undefined) logger?.warn(misdeed, { peer, error })
    else logger?.debug('a peer gives nothing any more', { peer, error })
    this.#report(provider.summary(error))
    this.#members.delete(peer)
    this.#providers.delete(peer)
    const leaving = provider.close(error).finally(() => this.#leaving.delete(leaving))
    this.#leaving.add(leaving)
    // Those that are left may all wait for each other.
    if (error.code === 'DISK_FULL' || !this.#coverable()) this.#fail(error)
    else this.#fill()
  }

  /** Whether those that are left have, or will get, what is missing: as long as there is an origin, it may. */
  #coverable(): boolean {
    const providers = [...this.#providers.values()]
    if (providers.some(({ origin }) => origin)) return true
    return this.#board.everyToCome((block) =>
      providers.some(({ has }) => has === undefined || has.has(block)),
    )
  }

  #look(): void {
    if (this.#stands() || this.#providers.values().some(({ late }) => late)) this.#fill()
    // What is asked for is watched by its lane; here all wait for others to tell what they have.
    const standsMs = performance.now() - this.#movedAt
    if (this.#board.flying === 0 && standsMs > WAITS * this.#options.stallMs) {
      const seconds = Math.round(standsMs / 1000)
      this.#fail(new ManyhandsError('TIMEOUT', `nobody had anything to give for ${seconds} s`))
    }
    for (const provider of this.#providers.values()) this.#report(provider.news())
  }

  #report(source: TransferSource | undefined): void {
    if (source !== undefined) this.#options.onSource(source)
  }

  #fail(error: ManyhandsError): void {
    this.#failure ??= error
    this.#round?.reject(error)
  }
}
