import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { ManyhandsError } from '@manyhands/core'
import type { Place } from './bed.ts'
import type { PeerOptions, PeerRequests } from './peer-process.ts'

const PROGRAM = new URL('./peer-process.ts', import.meta.url)

/** A {@link PROGRAM} at a place of a bed, asked from here. */
export class Peer implements AsyncDisposable {
  readonly place: Place
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #asked = 0
  peerId = ''
  /** When it started. */
  addresses: string[] = []

  private constructor(place: Place, child: ChildProcess) {
    this.place = place
    this.#child = child
  }

  static async start(place: Place, options: PeerOptions = {}): Promise<Peer> {
    const child = place.namespace.node(PROGRAM, [JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const peer = new Peer(place, child)
    const ready = Promise.withResolvers<{ peerId: string; addresses: string[] }>()
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const said = JSON.parse(line)
      if (said.ready !== undefined) ready.resolve(said.ready)
      else peer.#answered(said)
    })
    child.once('exit', (code, signal) => {
      const error = new Error(`the peer at ${place.name} ended (${code ?? signal})`)
      ready.reject(error)
      for (const { reject } of peer.#waiting.values()) reject(error)
    })
    Object.assign(peer, await ready.promise)
    return peer
  }

  /** @throws what the peer's network threw, with its code */
  ask<Name extends keyof PeerRequests>(
    name: Name,
    wish: PeerRequests[Name][0],
  ): Promise<PeerRequests[Name][1]> {
    this.#asked += 1
    const id = this.#asked
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(id, waiting)
    this.#child.stdin!.write(`${JSON.stringify({ id, do: name, ...wish })}\n`)
    return waiting.promise as Promise<PeerRequests[Name][1]>
  }

  /** Ends it as its owner would, and waits until its process has ended by itself. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.stdin!.end()
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #answered({ id, result, error }: { id: number; result?: unknown; error?: never }): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(ManyhandsError.fromJSON(error))
  }
}
