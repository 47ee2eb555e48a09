import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ArtifactStore,
  createArtifactStore,
  LIMITS,
  liveTreesSupported,
} from '@manyhands/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { AttemptControl } from '../src/attempt-control.ts'
import { CheckpointTaker } from '../src/checkpoints/checkpoint-taker.ts'
import { keepToDisk } from '../src/copies-room.ts'
import { runningAttempt } from './attempt-for-tests.ts'

const MIB = 1024 ** 2

/** An attempt whose sandbox cannot be made to stand still; `after` runs when a copy was made. */
async function setup(after: () => Promise<unknown> = async () => {}, restored?: string) {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-checkpoint-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const out = join(dir, 'out')
  await mkdir(join(out, 'state'), { recursive: true })
  const store = await createArtifactStore({ dir: join(dir, 'store') })
  onTestFinished(() => store.close())
  const attempt = runningAttempt('a.1')
  attempt.spec.checkpoint = { paths: ['/out/state/*'], everyMs: 1000 }
  attempt.limits = { ...attempt.limits, diskBytes: 3 * MIB }
  if (restored !== undefined) {
    await writeFile(join(out, 'state/a'), restored)
    const { root, size: bytes } = await store.collect(out, ['state/*'], {
      holder: 'client',
      copy: true,
    })
    attempt.spec.restore = { root, bytes }
  }
  const collect: ArtifactStore['collect'] = async (...call) => {
    const artifact = await store.collect(...call)
    await after()
    return artifact
  }
  const taker = new CheckpointTaker(attempt, out, {
    store: Object.assign(Object.create(store), {
      collect,
      release: (root: string, holder: string) => store.release(root, holder),
    }),
    control: { still: (_: unknown, work: () => Promise<unknown>) => work() } as AttemptControl,
    journal: { checkpointed: async () => {} },
    taken: () => {},
  })
  const { signal } = new AbortController()
  const take = () => taker.take(signal, { calm: false })
  const write = (path: string, content: string | Uint8Array) => writeFile(join(out, path), content)
  return { attempt, out, store, take, write }
}

describe.skipIf(!liveTreesSupported)('a checkpoint', () => {
  it('is of all files at one moment: what changes while it is copied is copied again', async () => {
    let left = 1
    const { attempt, store, take, write } = await setup(async () => {
      if (left === 0) return
      left -= 1
      // Both belong together; one had been copied before.
      await write('state/b', '2')
    })
    await write('state/a', '1')
    await write('state/b', '1')
    await take()
    const { root } = attempt.checkpoints.pending!
    expect(Buffer.from(await store.read(root, 'state/b')).toString()).toBe('2')
    expect(attempt.checkpoints.roots).toEqual([root])
  })

  it('is none where the task never stands still; the one before stays', async () => {
    let changes = false
    let n = 0
    const { attempt, store, take, write } = await setup(async () => {
      n += 1
      if (changes) await write('state/a', `${n}`)
    })
    await write('state/a', 'good')
    await take()
    const good = attempt.checkpoints.pending!
    changes = true
    await write('state/a', 'changing')
    await expect(take()).rejects.toMatchObject({ code: 'INPUT_CHANGED' })
    expect(attempt.checkpoints.pending).toEqual(good)
    expect((await store.usage()).artifacts).toBe(1)
  })

  it('is not made again while nothing has changed, and not of nothing', async () => {
    const { attempt, take, write } = await setup()
    await take()
    expect(attempt.checkpoints.pending).toBeUndefined()
    await write('state/a', '1')
    await take()
    await write('other', 'no part of it')
    await take()
    expect(attempt.checkpoints.pending!.seq).toBe(1)
  })

  it('is not made of what the attempt began with, until it was something else', async () => {
    const { attempt, store, take, write } = await setup(undefined, 'begun')
    const { root } = attempt.spec.restore!
    await take()
    expect(attempt.checkpoints.pending).toBeUndefined()
    await write('state/a', 'further')
    await take()
    expect(attempt.checkpoints.pending!.root).not.toBe(root)
    await write('state/a', 'begun')
    await take()
    expect(attempt.checkpoints.pending).toMatchObject({ seq: 2, root })
    await store.release(root, 'client')
    expect(await store.get(root)).toBeDefined()
  })

  it('keeps to the disk of its attempt; what its client has goes first', async () => {
    const { attempt, store, take, write } = await setup()
    await write('state/a', Buffer.alloc(MIB, 'a'))
    attempt.usage = { ...attempt.usage, disk: MIB }
    await take()
    const first = attempt.checkpoints.pending!
    await write('state/a', Buffer.alloc(1.5 * MIB, 'b'))
    attempt.usage = { ...attempt.usage, disk: 1.5 * MIB }
    // The first one, which its client has not taken yet, and the files themselves leave too little.
    await expect(take()).rejects.toMatchObject({ code: 'LIMIT' })
    attempt.checkpoints.taken(first.seq)
    await take()
    expect(attempt.checkpoints.pending!.bytes).toBe(1.5 * MIB)
    expect(await store.get(first.root)).toBeUndefined()
  })

  it('lets go of nothing when it is too large in any case', async () => {
    const { attempt, out, take, write } = await setup()
    await write('state/a', Buffer.alloc(MIB, 'a'))
    attempt.usage = { ...attempt.usage, disk: MIB }
    await take()
    const { root, seq } = attempt.checkpoints.pending!
    attempt.checkpoints.taken(seq)
    attempt.streamed.add({ path: 'frame', root: 'frame', bytes: MIB / 2, executable: false })
    await write('state/a', Buffer.alloc(2 * MIB, 'b'))
    attempt.usage = { ...attempt.usage, disk: 2 * MIB }
    // Both would have to go, and still it would not fit.
    await expect(take()).rejects.toMatchObject({ code: 'LIMIT' })
    expect([attempt.checkpoints.roots, attempt.streamed.roots()]).toEqual([[root], ['frame']])
    // A limit of all disks counts as well, however much room there is on this one.
    const diskBytes = 4 * LIMITS.checkpointBytes
    attempt.limits = { ...attempt.limits, diskBytes }
    attempt.usage = { ...attempt.usage, disk: diskBytes - LIMITS.checkpointBytes - MIB }
    await truncate(join(out, 'state/a'), LIMITS.checkpointBytes + 1)
    await expect(take()).rejects.toMatchObject({ code: 'LIMIT' })
    expect([attempt.checkpoints.roots, attempt.streamed.roots()]).toEqual([[root], ['frame']])
  })

  it('is made again of the same files when it went before its client had it', async () => {
    const { attempt, store, take, write } = await setup()
    await write('state/a', Buffer.alloc(MIB, 'a'))
    await take()
    const { root } = attempt.checkpoints.pending!
    attempt.usage = { ...attempt.usage, disk: 2.5 * MIB }
    await keepToDisk(attempt, store)
    expect(attempt.checkpoints.pending).toBeUndefined()
    expect(await store.get(root)).toBeUndefined()
    await expect(take()).rejects.toMatchObject({ code: 'LIMIT' })
    attempt.usage = { ...attempt.usage, disk: MIB }
    await take()
    expect(attempt.checkpoints.pending).toMatchObject({ seq: 2, root })
    expect(await store.get(root)).toBeDefined()
  })

  it('counts while it is made, and no longer', async () => {
    const seen: number[] = []
    const { attempt, take, write } = await setup(async () => {
      seen.push(attempt.checkpoints.bytes)
    })
    await write('state/a', Buffer.alloc(MIB, 'a'))
    await take()
    expect(seen).toEqual([MIB])
    expect(attempt.checkpoints.bytes).toBe(MIB)
  })

  it('follows no link', async () => {
    const { attempt, out, take, write } = await setup()
    await write('state/a', '1')
    await symlink('/etc/passwd', join(out, 'state/link'))
    await expect(take()).rejects.toMatchObject({ code: 'OUTPUT_UNSAFE' })
    expect(attempt.checkpoints.pending).toBeUndefined()
  })
})
