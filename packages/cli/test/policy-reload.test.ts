import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { watchPolicyFile } from '../src/policy/policy-reload.ts'

let directory: string
let path: string
let watched: Awaited<ReturnType<typeof watchPolicyFile>>
let reloads: number

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-reload-'))
  path = join(directory, 'policy.json')
  await writeFile(path, '1')
  reloads = 0
  watched = await watchPolicyFile(path, async () => {
    reloads += 1
  })
})
afterEach(async () => {
  watched.close()
  await rm(directory, { recursive: true })
})

it('reads again when the file is written, and when an editor replaces it', async () => {
  expect(watched.watching).toBe(true)
  await writeFile(path, '2')
  await expect.poll(() => reloads, { timeout: 20_000 }).toBe(1)
  await writeFile(join(directory, '.policy.swp'), '3')
  await rename(join(directory, '.policy.swp'), path)
  await expect.poll(() => reloads, { timeout: 20_000 }).toBe(2)
})

it('does nothing for the same bytes, or another file', async () => {
  await writeFile(path, '1')
  await writeFile(join(directory, 'other.json'), 'x')
  // What comes later shows that nothing came of the above.
  await writeFile(path, '4')
  await expect.poll(() => reloads, { timeout: 20_000 }).toBe(1)
})

it('reads whatever is there when told to, one call at a time', async () => {
  await Promise.all([watched.now(), watched.now()])
  expect(reloads).toBe(2)
})
