import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

const SCRIPT = new URL('./transfer-peer.ts', import.meta.url).pathname

export interface TransferPeerOptions {
  /** Where its store lies. */
  dir: string
  /** Default: a port of 127.0.0.1. */
  listen?: string[]
  /** The command that runs a program where this peer is to be, as `ip netns exec NAME`. */
  inside?: string[]
}

/** What a transfer peer does when it is asked to. */
export interface TransferCalls {
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

export interface TransferCall {
  id: number
  name: keyof TransferCalls
  params: unknown
}

export interface TransferPeer extends AsyncDisposable {
  address: string
  peerId: string
  child: ChildProcess
  pid: number
  ask<Name extends keyof TransferCalls>(
    name: Name,
    params: TransferCalls[Name]['params'],
  ): Promise<TransferCalls[Name]['result']>
}

interface Waiting {
  resolve: (result: unknown) => void
  reject: (error: Error) => void
}

export async function startTransferPeer(options: TransferPeerOptions): Promise<TransferPeer> {
  const { inside = [] } = options
  const [execPath, ...before] = [...inside, process.execPath]
  const child = fork(SCRIPT, [JSON.stringify(options)], {
    execPath,
    execArgv: [...before, '--conditions=@manyhands/source'],
  })
  const gone = once(child, 'exit')
  const waiting = new Map<number, Waiting>()
  child.on('message', ({ id, result, error }: { id: number; result: unknown; error?: string }) => {
    const { resolve, reject } = waiting.get(id)!
    waiting.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(error))
  })
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values()) {
      reject(new Error(`a transfer peer ended with ${code ?? signal}`))
    }
  })
  const answerTo = (id: number) =>
    new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }))
  const { address, peerId } = (await answerTo(0)) as { address: string; peerId: string }
  let lastId = 0
  return {
    address,
    peerId,
    child,
    pid: child.pid!,
    ask(name, params) {
      lastId += 1
      const answer = answerTo(lastId)
      child.send({ id: lastId, name, params } satisfies TransferCall)
      return answer as Promise<never>
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill()
      await gone
    },
  }
}
