import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { type ArtifactStore, createArtifactStore, surveyStore } from '@manyhands/core'
import { expect, test } from 'vitest'
import { bytesOf, listFiles, scratch, writeTree } from './scratch.ts'

const CHILD = new URL('store-crash-child.ts', import.meta.url).pathname
const ROUNDS = 8

function spawnChild(task: 'gc' | 'work', dir: string, seed: number, durable: string[]) {
  return spawn(
    process.execPath,
    ['--conditions=@manyhands/source', CHILD, task, dir, String(seed), JSON.stringify(durable)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
}

/** Lets a process work on the store for so long, kills it, and returns what it said. */
async function workAndDie(
  dir: string,
  options: { seed: number; durable: string[]; aliveMs: number },
): Promise<string[]> {
  const child = spawnChild('work', dir, options.seed, options.durable)
  const said: string[] = []
  const lines = createInterface({ input: child.stdout })
  const ready = Promise.withResolvers<void>()
  lines.on('line', (line) => {
    said.push(line)
    ready.resolve()
  })
  const ended = once(child, 'exit')
  const read = once(lines, 'close')
  await Promise.race([ready.promise, ended])
  await Promise.race([delay(options.aliveMs), ended])
  expect(child.exitCode, 'the child ended by itself').toBeNull()
  child.kill('SIGKILL')
  await ended
  await read
  return said
}

/** Every artifact that the store says it has, it has: read() verifies the bytes of each file. */
async function assertWhole(store: ArtifactStore, dir: string, about: string): Promise<number> {
  const manifests = await listFiles(join(dir, 'manifests'))
  for (const name of manifests) {
    const root = `sha256:${name.slice(3)}`
    const artifact = await store.get(root)
    expect(artifact, `${about}: ${root} is readable`).toBeDefined()
    for (const { path } of artifact!.manifest.files) await store.read(root, path)
  }
  return manifests.length
}

/** What the files of some artifacts take, each once. */
async function sizeOf(store: ArtifactStore, roots: Iterable<string>) {
  const sizes = new Map<string, number>()
  for (const root of roots) {
    const { manifest } = (await store.get(root))!
    for (const { size, chunks } of manifest.files) {
      sizes.set(`${size} ${Buffer.from(chunks).toString('hex')}`, size)
    }
  }
  return { files: sizes.size, bytes: [...sizes.values()].reduce((sum, size) => sum + size, 0) }
}

test(`a store whose process is killed while it receives and tidies up: whole, complete, and nothing leaks`, async () => {
  const dir = await scratch()
  const storeDir = join(dir, 'store')
  const durable = new Set<string>()
  let found = 0
  for (let round = 0; round < ROUNDS; round++) {
    const seed = 1000 + round * 7919
    // Moments that have nothing to do with what happens then.
    const aliveMs = 30 + ((seed * 31) % 500)
    const said = await workAndDie(dir, { seed, durable: [...durable], aliveMs })
    for (const line of said) if (line !== 'ready') durable.add(line.slice('held '.length))
    await rm(join(dir, `source-${seed}`), { recursive: true, force: true })

    // The state as it was left stays for the next process; ours looks at a copy of it.
    const copy = join(dir, 'copy')
    await cp(storeDir, copy, { recursive: true, preserveTimestamps: true })
    const holders = new Map([...durable].map((root) => [root, ['durable']]))
    const survey = await surveyStore({ dir: copy, holders, keepBytes: 0 })
    const store = await createArtifactStore({ dir: copy })
    for (const root of durable) store.retain(root, 'durable')
    found += await assertWhole(store, copy, `seed ${seed}`)
    for (const root of durable) expect(store.has(root), `seed ${seed}: ${root} is held`).toBe(true)

    const section = await store.gc({ keepBytes: 0 })
    expect(section.removed.artifacts).toBe(survey.removed.artifacts)
    const size = await sizeOf(store, durable)
    expect(await store.usage()).toEqual({ artifacts: durable.size, ...size })
    expect(await listFiles(join(copy, 'part'))).toEqual([])
    await store.close()
    await rm(copy, { recursive: true })
  }
  expect(found).toBeGreaterThan(0)
  expect(durable.size).toBeGreaterThan(0)
}, 120_000)

test('a store whose process dies in the middle of tidying up: what is left is whole, the rest goes next time', async () => {
  const dir = await scratch()
  const made = join(dir, 'made')
  const durable: string[] = []
  {
    await using store = await createArtifactStore({ dir: made })
    const shared = bytesOf(100)
    for (let n = 0; n < 30; n++) {
      const out = join(dir, 'out')
      await writeTree(out, { shared, a: `a${n}`, b: `b${n}`, c: `c${n % 10}` })
      const { root } = await store.collect(out, ['**'])
      store.keep(root)
      if (n % 10 === 0) durable.push(root)
    }
  }
  const counts: number[] = []
  // 27 manifests go, and 63 files after them.
  for (const gone of [1, 20, 27, 50, 90]) {
    const work = join(dir, `gone-${gone}`)
    const storeDir = join(work, 'store')
    await cp(made, storeDir, { recursive: true, preserveTimestamps: true })
    const child = spawnChild('gc', work, gone, durable)
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
    await using store = await createArtifactStore({ dir: storeDir })
    for (const root of durable) store.retain(root, 'durable')
    counts.push(await assertWhole(store, storeDir, `killed when ${gone} files were gone`))
    for (const root of durable) expect(store.has(root)).toBe(true)
    await store.gc({ keepBytes: 0 })
    const size = await sizeOf(store, durable)
    expect(await store.usage()).toEqual({ artifacts: durable.length, ...size })
    await store.close()
    expect(await listFiles(join(storeDir, 'kept'))).toHaveLength(durable.length)
  }
  expect(Math.max(...counts)).toBeGreaterThan(durable.length)
}, 120_000)
