/**
 * 10,000 offers at once from ten clients against a host of 16 slots. Triggers in the host's own journal
 * write down every row's coming, ending and going in the order of commits; that record is replayed, and
 * the sum of what is reserved is taken after each of its entries.
 *
 *   node --conditions=@manyhands/source bench/overcommit.ts [--offers 10000]
 *
 * The ratio is against requests to the same host that reserve and write nothing.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseArgs } from 'node:util'
import {
  attemptSpecSchema,
  createNetwork,
  DEFAULT_RESOURCES,
  decodeDocument,
  type Network,
  type RpcParams,
} from '@manyhands/core'
import { startHostProcess } from './shared/host-processes.ts'
import { printResult } from './shared/result.ts'

const SLOTS = 16
const CLIENTS = 10
const { values } = parseArgs({ options: { offers: { type: 'string', default: '10000' } } })
const OFFERS = Number(values.offers)

const RECORD = `
  CREATE TABLE record (at INTEGER PRIMARY KEY, id TEXT, phase TEXT, spec BLOB);
  CREATE TRIGGER came AFTER INSERT ON attempts BEGIN
    INSERT INTO record (id, phase, spec) VALUES (new.id, new.phase, new.spec); END;
  CREATE TRIGGER moved AFTER UPDATE OF phase ON attempts BEGIN
    INSERT INTO record (id, phase) VALUES (new.id, new.phase); END;
  CREATE TRIGGER went AFTER DELETE ON attempts BEGIN
    INSERT INTO record (id, phase) VALUES (old.id, 'gone'); END;
`

const ENDED = new Set(['completed', 'failed', 'canceled', 'lost', 'evicted', 'gone'])

const dir = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
try {
  const state = join(dir, 'host')
  const options = { runtimes: ['scripted' as const], cpus: SLOTS, state }
  // The first life makes the tables that the triggers hang on.
  await (await startHostProcess(options))[Symbol.asyncDispose]()
  writeRecord(join(state, 'host.db'))
  const outcome = await run(options)
  const replayed = replay(join(state, 'host.db'))
  const { held, busy, bare } = outcome
  printResult({
    name: 'overcommit',
    promise: `${OFFERS} offers at once against ${SLOTS} slots: never more than the share, in any prefix of the journal`,
    value: Math.max(0, replayed.most - SLOTS),
    unit: 'slots too many',
    against: 'requests to the same host that reserve nothing, 1/s',
    peer: bare,
    ratio: held.perSecond / bare,
    kept:
      replayed.most === SLOTS &&
      held.accepted === SLOTS &&
      replayed.reserved === held.accepted + busy.accepted,
    offersPerSecond: held.perSecond,
    accepted: held.accepted,
    acceptedLater: busy.accepted,
    journalEntries: replayed.entries,
  })
} finally {
  await rm(dir, { recursive: true, force: true })
}

async function run(options: Parameters<typeof startHostProcess>[0]) {
  await using host = await startHostProcess(options)
  const bootstrap = host.ready.addresses
  const networks = await Promise.all(
    Array.from({ length: CLIENTS }, () => createNetwork({ bootstrap, gossip: false })),
  )
  try {
    const peer = networks[0]!.peers()[0]!
    for (const network of networks) {
      // Whoever has leases is asked to renew them.
      network.handle('lease.renew', async () => ({ unwanted: [] }))
      await network.call(peer, 'hello', { v: 1, agent: 'bench', heartbeatMs: 5000 })
    }
    const bare = await rate((index) => networks[index % CLIENTS]!.call(peer, 'offer.get', {}))
    // First all at once for tasks that do not end, then so many at a time that slots come and go.
    const held = await offerAll(networks, peer, { name: 'held', run: ['--hang'] })
    await endAll(networks, peer)
    const busy = await offerAll(networks, peer, {
      name: 'busy',
      run: ['--for', '5ms'],
      inFlight: 64,
    })
    return { held, busy, bare }
  } finally {
    await Promise.all(networks.map((network) => network.close()))
  }
}

async function offerAll(
  networks: Network[],
  peer: string,
  work: { name: string; run: string[]; inFlight?: number },
): Promise<{ accepted: number; perSecond: number }> {
  let accepted = 0
  const perSecond = await rate(async (index) => {
    const network = networks[index % CLIENTS]!
    const params = offer(`${work.name}-${index}`, work.run)
    const { answers } = await network.call(peer, 'attempt.offer', params, { timeoutMs: 60_000 })
    accepted += answers.filter((answer) => answer.accepted).length
  }, work.inFlight)
  return { accepted, perSecond }
}

function offer(name: string, run: string[]): RpcParams<'attempt.offer'> {
  return {
    job: 'bench',
    jobName: 'bench',
    spec: {
      runtime: 'scripted',
      image: 'any',
      command: ['run', ...run],
      env: {},
      inputs: [],
      outputs: [],
      resources: { ...DEFAULT_RESOURCES, cpus: 1 },
      timeoutMs: 0,
      networkProfile: 'none',
    },
    attempts: [{ id: `bench-${name}.1`, task: name, epoch: 1 }],
  }
}

/** Ends what each client has; resolves when the host keeps nothing of it. */
async function endAll(networks: Network[], peer: string): Promise<void> {
  for (const network of networks) {
    while (true) {
      const { attempts } = await network.call(peer, 'attempt.inventory', {})
      if (attempts.length === 0) break
      const ids = attempts.map((attempt) => attempt.id)
      await network.call(peer, 'attempt.cancel', { ids, reason: 'enough' })
    }
  }
}

/** That many calls, so many of them at a time; how many were answered a second. */
async function rate(call: (index: number) => Promise<unknown>, inFlight = OFFERS): Promise<number> {
  let next = 0
  const lane = async () => {
    while (next < OFFERS) await call(next++)
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: inFlight }, lane))
  return (OFFERS * 1000) / (performance.now() - started)
}

function writeRecord(path: string): void {
  const database = new DatabaseSync(path)
  database.exec(RECORD)
  database.close()
}

/** Walks through the journal's history entry by entry. */
function replay(path: string): { most: number; reserved: number; entries: number } {
  const database = new DatabaseSync(path)
  try {
    const open = new Map<string, number>()
    let [most, sum, reserved, entries] = [0, 0, 0, 0]
    for (const row of database.prepare('SELECT id, phase, spec FROM record ORDER BY at').all()) {
      const { id, phase, spec } = row as { id: string; phase: string; spec: Uint8Array | null }
      entries += 1
      if (spec !== null) {
        const { cpus } = decodeDocument(attemptSpecSchema, spec, 'journaled spec').resources
        open.set(id, cpus)
        sum += cpus
        reserved += 1
      } else if (ENDED.has(phase)) {
        sum -= open.get(id) ?? 0
        open.delete(id)
      }
      most = Math.max(most, sum)
    }
    return { most, reserved, entries }
  } finally {
    database.close()
  }
}
