import { startCallee } from './calls.ts'

const SCRIPT = new URL('./transfer-peer.ts', import.meta.url).pathname

export interface TransferPeerOptions {
  /** Where its store lies. */
  dir: string
  /** Default: a port of 127.0.0.1. */
  listen?: string[]
  /** The command that runs a program where this peer is to be, as `nsenter --net=FILE`. */
  inside?: string[]
}

/** What a transfer peer does when it is asked to. */
export type TransferCalls = {
  /** Takes a path of the disk as an artifact; `ms` is what hashing it took. */
  add: { params: { path: string }; result: { root: string; size: number; ms: number } }
  /**
   * Connects to a peer and fetches from it, into the store that serves or, with `into`, into another one
   * that nobody else sees. `ms` counts from before the connection to the last fsync, `placedMs` until the
   * artifact lies at `target`; `bytes` were received and verified.
   */
  fetch: {
    params: { address: string; root: string; target?: string; into?: string }
    result: { ms: number; placedMs: number; bytes: number }
  }
  /** Lets go of what was fetched. */
  release: { params: { root: string }; result: void }
  /** Bytes of content that left this peer since it started. */
  sent: { params: Record<never, never>; result: { bytes: number } }
  /**
   * Calls a connected peer at fixed times, whether or not the call before was answered; `lateMs` is how
   * long after its time each one began.
   */
  calls: {
    params: { peer: string; count: number; everyMs: number }
    result: { ms: number[]; lateMs: number[] }
  }
}

export interface TransferPeer extends AsyncDisposable {
  address: string
  peerId: string
  pid: number
  ask<Name extends keyof TransferCalls>(
    name: Name,
    params: TransferCalls[Name]['params'],
  ): Promise<TransferCalls[Name]['result']>
}

export async function startTransferPeer({
  inside,
  ...argument
}: TransferPeerOptions): Promise<TransferPeer> {
  const callee = await startCallee<TransferCalls, { address: string; peerId: string }>({
    script: SCRIPT,
    argument,
    inside,
  })
  return {
    ...callee.hello,
    pid: callee.child.pid!,
    ask: callee.ask,
    [Symbol.asyncDispose]: () => callee[Symbol.asyncDispose](),
  }
}
