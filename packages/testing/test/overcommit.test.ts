import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createNetwork, DEFAULT_RESOURCES, type Network } from '@manyhands/core'
import { createHost, type Host } from '@manyhands/host'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { scripted } from '../src/index.ts'

const SLOTS = 8
const CLIENTS = 8
const CALLS = 8
const ATTEMPTS = 64

/** The journal itself writes down, in the order of commits, what comes and what ends. */
const RECORD = `
  CREATE TABLE record (at INTEGER PRIMARY KEY, id TEXT, live INTEGER);
  CREATE TRIGGER came AFTER INSERT ON attempts BEGIN
    INSERT INTO record (id, live) VALUES (new.id, 1); END;
  CREATE TRIGGER ended AFTER UPDATE OF end_document ON attempts BEGIN
    INSERT INTO record (id, live) VALUES (new.id, 0); END;
`

let dir: string
let host: Host
const clients: Network[] = []

const start = () =>
  createHost({
    runtimes: [scripted()],
    share: { cpus: SLOTS, memory: '64GiB', disk: '4TiB' },
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
    state: join(dir, 'host'),
  })

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
})
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
  await host.close()
  await rm(dir, { recursive: true, force: true })
})

it('thousands of offers at once never hold more than the share, in any prefix of the journal', async () => {
  // The first life makes the tables that the triggers hang on.
  host = await start()
  await host.close()
  const path = join(dir, 'host', 'host.db')
  const before = new DatabaseSync(path)
  before.exec(RECORD)
  before.close()
  host = await start()
  for (let n = 0; n < CLIENTS; n += 1) {
    clients.push(await createNetwork({ bootstrap: host.addresses, gossip: false }))
  }
  const spec = {
    runtime: 'scripted',
    image: 'any',
    command: ['run', '--for', '5ms'],
    env: {},
    inputs: [],
    outputs: [],
    resources: DEFAULT_RESOURCES,
    timeoutMs: 0,
    networkProfile: 'none' as const,
  }
  const calls = clients.flatMap((client, c) =>
    Array.from({ length: CALLS }, async (_, call) => {
      const attempts = Array.from({ length: ATTEMPTS }, (_, n) => {
        return { id: `c${c}-${call}-${n}.1`, task: 't', epoch: 1 }
      })
      const params = { job: `j${c}`, jobName: '', spec, attempts }
      const { answers, offer } = await client.call(host.peerId, 'attempt.offer', params)
      expect(offer.free.cpus).toBeGreaterThanOrEqual(0)
      return answers
    }),
  )
  const answers = (await Promise.all(calls)).flat()
  expect(answers).toHaveLength(CLIENTS * CALLS * ATTEMPTS)
  const accepted = new Set(answers.filter((one) => one.accepted).map(({ id }) => id))
  expect(accepted.size).toBeGreaterThanOrEqual(SLOTS)
  await expect.poll(() => host.attempts().every(({ phase }) => phase === 'completed')).toBe(true)
  await host.close()

  const database = new DatabaseSync(path)
  const live = new Set<unknown>()
  const came = new Set<unknown>()
  let most = 0
  for (const row of database.prepare('SELECT id, live FROM record ORDER BY at').iterate()) {
    if (row['live'] === 1) {
      live.add(row['id'])
      came.add(row['id'])
    } else live.delete(row['id'])
    most = Math.max(most, live.size)
  }
  database.close()
  expect(most).toBe(SLOTS)
  expect(came).toEqual(accepted)
})
