import {
  type AttemptEnd,
  type AttemptEvent,
  type AttemptSpec,
  attemptSpecOf,
  createNetwork,
  encodeDocument,
  type Network,
  NO_USAGE,
  type Offer,
  PROTOCOLS,
  type Receipt,
  type ReceiptProof,
  receiptKey,
  receiptOf,
  type SignedReceipt,
  signReceipt,
  signReceipts,
  type WireAttempt,
} from '@manyhands/core'

/** What a forging host was asked to run, and by whom. */
export interface Asked {
  client: string
  job: string
  spec: AttemptSpec
  attempt: WireAttempt
}

export interface ForgingHost extends AsyncDisposable {
  peerId: string
  addresses: string[]
  /** Everything that it was asked, in order. */
  asked: Asked[]
  /** Receipts that it has made out, as an honest host would. */
  made: SignedReceipt[]
}

const FREE = { cpus: 8, memoryBytes: 1e10, diskBytes: 1e11, gpus: 0, pids: 4096 }

/** Real work is not what this host does: it answers at once that all went well. */
export async function createForgingHost(options: {
  /** The receipt that it sends in the place of an honest one. */
  forge(honest: Receipt, sign: (receipt: Receipt) => SignedReceipt, made: SignedReceipt[]): unknown
  /** The proof that it sends instead of any receipt. */
  prove?(honest: Receipt, sign: (receipts: Receipt[]) => ReceiptProof[]): ReceiptProof
  /** Ends that it tells for one attempt; default the one. */
  tell?: (event: AttemptEvent) => AttemptEvent[]
}): Promise<ForgingHost> {
  const seed = crypto.getRandomValues(new Uint8Array(32))
  const key = receiptKey(seed)
  const network: Network = await createNetwork({
    privateKey: seed,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    gossip: false,
  })
  const asked: Asked[] = []
  const made: SignedReceipt[] = []
  const waiting = new Map<string, AttemptEvent[]>()
  let wake = () => {}
  const offer = (): Offer => ({
    v: 1,
    peerId: network.peerId,
    instance: 'forger',
    revision: 1,
    addresses: network.addresses,
    cpus: FREE.cpus,
    memory: FREE.memoryBytes,
    disk: FREE.diskBytes,
    gpus: 0,
    share: FREE,
    free: FREE,
    runtimes: [{ name: 'scripted', image: 'named', isolation: 'none' }],
    platform: { os: 'linux', arch: 'x64', cpu: 'test' },
    labels: {},
    attempts: 0,
    draining: false,
  })
  network.handle('hello', async ({ heartbeatMs }) => ({ offer: offer(), heartbeatMs }))
  network.handle('offer.get', async () => ({ offer: offer() }))
  network.handle('offer.list', async () => ({ offers: [offer()] }))
  network.handle('attempt.cancel', async () => ({}))
  network.handle('attempt.acknowledge', async () => ({}))
  network.handle('attempt.inventory', async () => ({ attempts: [] }))
  network.handle('attempt.offer', async ({ job, spec, attempts }, { peer }) => {
    for (const attempt of attempts) {
      asked.push({ client: peer, job, spec, attempt })
      const end: AttemptEnd = {
        exitCode: 0,
        oom: false,
        timedOut: false,
        durationMs: 1,
        usage: NO_USAGE,
        stdoutTail: new TextEncoder().encode('forged'),
        stderrTail: new Uint8Array(),
      }
      const honest = receiptOf(
        {
          client: peer,
          host: network.peerId,
          job,
          task: attempt.task,
          attempt: attempt.id,
          nonce: attempt.nonce ?? '',
          spec: attemptSpecOf(spec, attempt),
        },
        'completed',
        end,
        `sha256:${'a'.repeat(64)}`,
      )
      const sign = (receipt: Receipt) => signReceipt(receipt, key)
      const receipt = options.forge(honest, sign, made) as SignedReceipt
      made.push(sign(honest))
      const event: AttemptEvent = {
        attempt: attempt.id,
        seq: 1,
        phase: 'completed',
        end:
          options.prove === undefined
            ? { ...end, receipt }
            : { ...end, proof: options.prove(honest, (all) => signReceipts(all, key)) },
      }
      const events = options.tell?.(event) ?? [event]
      waiting.set(job, [...(waiting.get(job) ?? []), ...events])
    }
    wake()
    return { answers: attempts.map(({ id }) => ({ id, accepted: true })), offer: offer() }
  })
  await network.handleStream(PROTOCOLS.events, async (stream) => {
    const job = new TextDecoder().decode(await stream.next())
    for (;;) {
      const events = waiting.get(job) ?? []
      waiting.delete(job)
      if (events.length > 0) await stream.send(encodeDocument(events))
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  })
  return {
    peerId: network.peerId,
    addresses: network.addresses,
    asked,
    made,
    [Symbol.asyncDispose]: () => network.close(),
  }
}
