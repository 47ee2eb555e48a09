import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { CappedLink } from '../../testing/test/capped-link.ts'
import { commandRoom, type Line, linesOf } from './command.ts'

const MIB = 1024 ** 2
const SIZE = 32 * MIB
let room: Awaited<ReturnType<typeof commandRoom>>

beforeAll(async () => {
  room = await commandRoom()
})
afterAll(() => room[Symbol.asyncDispose]())

it('tells scripts and the owner how far the inputs are', async () => {
  const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
  const host = room.start(['host', '--runtime', 'scripted', '--cpus', '2', ...listen, '--jsonl'])
  const { addresses } = await host.line((line) => line['event'] === 'ready')
  const [link, address] = await CappedLink.to(addresses[0], 4 * MIB)
  await using _ = link
  await writeFile(room.path('big'), randomBytes(SIZE))
  const run = room.start([
    ...['run', '--runtime', 'scripted', '--image', 'any', '--tasks', '1-2', '--in', 'big:/in/big'],
    ...['--bootstrap', address, '--jsonl', '--', 'run', '--for', '1ms'],
  ])
  const moving = (line: Line) => line['phases']?.inputs === 2 && line['active'][0]?.bytes > 0
  await run.line(moving)

  const [table, json, stats] = await Promise.all([
    room.run('ps'),
    room.run('ps', '--json'),
    room.run('stats', '--once'),
  ])
  for (const text of [table.stdout, stats.stdout]) {
    expect(text).toMatch(/staging \(inputs \d+ % of 32\.0 MiB, .*MiB\/s.* left\)/)
  }
  for (const { phase, transfer } of JSON.parse(json.stdout)) {
    expect({ phase, transfer }).toMatchObject({
      phase: 'staging',
      transfer: { phase: 'inputs', total: SIZE, rate: expect.any(Number) },
    })
    expect(transfer.bytes).toBeGreaterThan(0)
    expect(transfer.bytes).toBeLessThanOrEqual(SIZE)
  }

  const ended = await run.ended
  expect(ended.code, ended.stderr).toBe(0)
  const lines = linesOf(ended)
  expect(lines.at(-1)).toMatchObject({ event: 'job', bytesUp: SIZE })
  const told = lines.filter((line) => line['event'] === 'progress')
  const bytes = told.filter(moving).map((line) => line['active'][0].bytes)
  expect(bytes.length).toBeGreaterThan(2)
  expect(bytes).toEqual([...bytes].sort((a, b) => a - b))
  for (const line of told.filter(moving)) {
    expect(line['active']).toHaveLength(2)
    expect(line['active'][0]).toMatchObject({ phase: 'inputs', total: SIZE })
    expect(line['bytesUp']).toBeGreaterThanOrEqual(line['active'][0].bytes)
  }
  // At most four a second; scripts rely on it. Timers may come a little closer together.
  const times = told.map((line) => Date.parse(line['time']))
  const seconds = (times.at(-1)! - times[0]!) / 1000
  expect(told.length).toBeLessThanOrEqual(4 * seconds + 2)
}, 60_000)
