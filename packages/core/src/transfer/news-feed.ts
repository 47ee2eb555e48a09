import { TRANSFER } from '../artifacts/transfer-limits.ts'
import type { FrameStream } from '../network/network.ts'
import { encodeBlocks } from './block-set.ts'
import { haveFrame, peersFrame, type SwarmPeer } from './transfer-messages.ts'

/** Tells a receiver what is new. What a slow one has not taken is merged, so that it costs little. */
export class NewsFeed {
  readonly #stream: FrameStream
  #blocks: number[] = []
  readonly #peers = new Map<string, SwarmPeer>()
  #sending = false
  #ended = false

  constructor(stream: FrameStream) {
    this.#stream = stream
  }

  blocks(blocks: readonly number[]): void {
    for (const block of blocks) this.#blocks.push(block)
    this.#pump()
  }

  peers(peers: readonly SwarmPeer[]): void {
    for (const peer of peers) this.#peers.set(peer.peer, peer)
    for (const oldest of this.#peers.keys()) {
      if (this.#peers.size <= TRANSFER.swarmPeers) break
      this.#peers.delete(oldest)
    }
    this.#pump()
  }

  /** Nothing more is told. */
  end(): void {
    this.#ended = true
  }

  #pump(): void {
    if (this.#sending) return
    this.#sending = true
    void this.#send().catch(() => this.end())
  }

  async #send(): Promise<void> {
    while (!this.#ended && (this.#blocks.length > 0 || this.#peers.size > 0)) {
      if (this.#blocks.length > 0)
        await this.#stream.send(haveFrame(encodeBlocks(this.#blocks.splice(0))))
      const peers = [...this.#peers.values()]
      this.#peers.clear()
      if (peers.length > 0 && !this.#ended) await this.#stream.send(peersFrame(peers))
    }
    this.#sending = false
  }
}
