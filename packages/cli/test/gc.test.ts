import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '@manyhands/client'
import { createHost, type Host } from '@manyhands/host'
import { scripted } from '@manyhands/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { commandRoom, linesOf } from './command.ts'

const KIB = 1024
let room: Awaited<ReturnType<typeof commandRoom>>
beforeEach(async () => {
  room = await commandRoom()
})
afterEach(() => room[Symbol.asyncDispose]())

/** Every file below a directory, with what would show that it was touched. */
async function listing(dir: string): Promise<[string, number, number][]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort()
  return await Promise.all(
    paths.map(async (path): Promise<[string, number, number]> => {
      const { size, mtimeMs } = await stat(path)
      return [path, size, mtimeMs]
    }),
  )
}

async function hostWith(state: string): Promise<Host> {
  return await createHost({
    runtimes: [scripted()],
    share: { cpus: 2, disk: '1GiB' },
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
    state,
  })
}

/** A job with an input of its own, of which the result is fetched. */
async function work(host: Host, state: string, input: Uint8Array): Promise<void> {
  await using client = await createClient({
    network: { bootstrap: host.addresses, gossip: false },
    state,
  })
  const job = await client.submit({
    runtime: 'scripted',
    image: 'any',
    command: ['run', '--write', 'result=it is done'],
    inputs: { '/in/data': input },
    tasks: '1',
  })
  expect(await job.wait()).toMatchObject({ phase: 'completed' })
  await expect.poll(() => host.attempts()).toEqual([])
}

it('tidies up the state of a host and of a client that do not run; a dry run changes nothing', async () => {
  const [hostState, clientState] = [room.path('host'), room.path('client')]
  {
    await using host = await hostWith(hostState)
    await work(host, clientState, new Uint8Array(50 * KIB).fill(1))
  }
  const before = [await listing(hostState), await listing(clientState)]
  const dry = await room.run('gc', '--dry-run', '--keep', '0', '--state', 'host', '--json')
  const dryClient = await room.run('gc', '--dry-run', '--keep', '0', '--state', 'client', '--json')
  expect([await listing(hostState), await listing(clientState)]).toEqual(before)
  expect(dry, dry.stderr).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(dry.stdout)).toEqual({
    state: hostState,
    kind: 'host',
    running: false,
    dryRun: true,
    sections: [
      { room: 'artifacts', removed: { artifacts: 1, files: 1, bytes: 50 * KIB }, kept: [] },
    ],
  })
  expect(JSON.parse(dryClient.stdout)).toMatchObject({
    kind: 'client',
    sections: [
      {
        removed: { artifacts: 1, files: 1, bytes: 50 * KIB },
        kept: [{ reason: 'results of jobs', artifacts: 1, files: 1, bytes: 10 }],
      },
    ],
  })

  const kept = await room.run('gc', '--state', 'host')
  expect(kept).toMatchObject({
    code: 0,
    stdout:
      'host artifacts  nothing to remove\n' +
      '                keeps 1 artifact, 1 file, 50.0 KiB: kept for later jobs\n',
  })
  const wet = await room.run('gc', '--keep', '0', '--state', 'host')
  expect(wet.stdout).toBe('host artifacts  removed 1 artifact, 1 file, 50.0 KiB\n')
  expect(
    (await listing(join(hostState, 'store', 'cas'))).filter(([, size]) => size > 5000),
  ).toEqual([])
  const wetClient = await room.run('gc', '--keep', '0', '--state', 'client', '--jsonl')
  expect(linesOf(wetClient)).toMatchObject([{ event: 'gc', kind: 'client', dryRun: false }])
  // What it has computed is still its own.
  const again = await room.run('gc', '--keep', '0', '--state', 'client', '--json')
  expect(JSON.parse(again.stdout).sections[0].kept).toMatchObject([{ bytes: 10 }])
}, 60_000)

it('asks the host that has the state open, and keeps what its attempts need', async () => {
  const hostState = room.path('host')
  const host = room.start([
    ...[
      'host',
      '--runtime',
      'wasm',
      '--state',
      'host',
      '--listen',
      '/ip4/127.0.0.1/tcp/0',
      '--jsonl',
    ],
  ])
  await host.line(({ event }) => event === 'ready')
  const before = await listing(join(hostState, 'store'))
  const dry = await room.run('gc', '--dry-run', '--state', 'host', '--json')
  expect(dry, dry.stderr).toMatchObject({ code: 0 })
  expect(JSON.parse(dry.stdout)).toMatchObject({ kind: 'host', running: true, dryRun: true })
  expect(await listing(join(hostState, 'store'))).toEqual(before)
  host.process.kill('SIGINT')
  await host.ended
}, 60_000)

it('says who has a state open that cannot be asked', async () => {
  await using host = await hostWith(room.path('host'))
  const refused = await room.run('gc', '--state', 'host', '--json')
  expect(refused.code).toBe(7)
  expect(`${refused.stdout}${refused.stderr}`).toMatch(/in use by process \d+/)
  expect(host.attempts()).toEqual([])
}, 60_000)
