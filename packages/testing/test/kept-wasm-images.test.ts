import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { wasm } from '@manyhands/wasm-runtime'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { testProgram } from '../../wasm-runtime/test/programs.ts'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'

let directory: string
let image: string
let bytes: number
let open: LocalNetwork | undefined

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-wasm-'))
  image = await testProgram()
  bytes = (await readFile(image)).length
})

afterEach(async () => {
  await open?.close()
  open = undefined
  await rm(directory, { recursive: true, force: true })
})

async function network(own: object = {}): Promise<LocalNetwork> {
  open = await createLocalNetwork({ hosts: [own], runtimes: () => [wasm()] })
  return open
}

/** The same module under another name, with so many bytes behind it that do nothing. */
async function padded(name: string, padding: number): Promise<string> {
  const path = join(directory, `${name}.wasm`)
  const custom = Buffer.alloc(padding, name)
  custom[0] = 0
  await writeFile(path, Buffer.concat([await readFile(image), section(custom)]))
  return path
}

/** A custom section, which no engine looks at: its size as LEB128, an empty name, bytes. */
function section(content: Buffer): Buffer {
  const size: number[] = []
  for (let left = content.length; ; left >>>= 7) {
    size.push(left > 0x7f ? (left & 0x7f) | 0x80 : left)
    if (left <= 0x7f) return Buffer.concat([Buffer.from([0, ...size]), content])
  }
}

const job = (path: string, inputs = {}) => ({
  runtime: 'wasm',
  image: path,
  command: ['program', 'exit', '0'],
  inputs,
  tasks: '1-3',
})

it('a wasm image comes once, whoever brings it, under whatever name, and also as an input', async () => {
  const local = await network()
  const [host] = local.hosts
  const received = () => host!.totals().transfer.received
  await local.client.run(job(image))
  expect(received()).toBe(bytes)
  const copy = join(directory, 'renamed.wasm')
  await copyFile(image, copy)
  const other = await local.addClient()
  await other.waitForHosts()
  await other.run(job(copy, { '/in/copy': image }))
  expect(received()).toBe(bytes)
})

it('is kept over restarts, and let go of as what was not used for longest', async () => {
  const state = join(directory, 'host')
  const share = { cpus: 2, disk: '1GiB', keep: '3MiB' }
  const local = await network({ state, share })
  const large = await padded('large', 2 * 1024 ** 2)
  await local.client.run(job(image))
  await local.client.run(job(large))
  await local.close()
  const again = await network({ state, share })
  const [host] = again.hosts
  const before = host!.totals().transfer.received
  await again.client.run(job(image))
  await again.client.run(job(large))
  expect(host!.totals().transfer.received).toBe(before)
  // Another large one has no room beside the first.
  await again.client.run(job(await padded('other', 2 * 1024 ** 2)))
  await expect
    .poll(async () => (await host!.gc({ dryRun: true })).sections[0]!.kept[0]?.bytes)
    .toBeLessThan(3 * 1024 ** 2)
  const after = host!.totals().transfer.received
  await again.client.run(job(large))
  expect(host!.totals().transfer.received).toBeGreaterThan(after + 2 * 1024 ** 2)
})
