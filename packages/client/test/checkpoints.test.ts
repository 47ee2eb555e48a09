import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ArtifactStore, createArtifactStore } from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { KeptCheckpoints } from '../src/checkpoints/kept-checkpoints.ts'
import type { CheckpointRow } from '../src/journal/checkpoint-rows.ts'
import { type ClientJournal, openClientJournal } from '../src/journal/client-journal.ts'

let dir: string
let journal: ClientJournal
let store: ArtifactStore
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  journal = openClientJournal(join(dir, 'client.db'), { durable: true })
  store = await createArtifactStore({ dir: join(dir, 'store') })
})
afterEach(async () => {
  await store.close()
  await journal.close()
  await rm(dir, { recursive: true })
})

/** A checkpoint that is in the store, held by `taking`. */
async function made(text: string): Promise<{ root: string; bytes: number }> {
  const out = join(dir, text)
  await mkdir(out)
  await writeFile(join(out, 'state'), text)
  const { root, size: bytes } = await store.collect(out, ['**'], { holder: 'taking' })
  return { root, bytes }
}

const row = (over: Partial<CheckpointRow>): CheckpointRow => ({
  ...{ job: 'job', key: 't', epoch: 1, seq: 1, root: undefined, bytes: 0, starts: 0 },
  ...{ continued: 0, attempt: 'a.1', host: 'a', ...over },
})

describe('what is kept of a task', () => {
  it('is one: the one before goes when the next is durable, and both when the task is over', async () => {
    const kept = new KeptCheckpoints(journal.checkpoints, store)
    const [a, b] = [await made('one'), await made('other')]
    await kept.change('job', 't', () => row(a))
    await kept.change('job', 't', () => row({ ...b, seq: 2 }))
    for (const { root } of [a, b]) await store.release(root, 'taking')
    expect(await store.get(a.root)).toBeUndefined()
    expect(await store.get(b.root)).toBeDefined()
    expect(kept.jobOf(a.root)).toBeUndefined()
    expect(kept.jobOf(b.root)).toBe('job')
    await kept.forget('job', 't')
    expect(await store.get(b.root)).toBeUndefined()
    expect((await store.usage()).files).toBe(0)
  })

  it('changes one after the other: who decides sees what was decided before', async () => {
    const kept = new KeptCheckpoints(journal.checkpoints, store)
    const [old, late] = [await made('one'), await made('other')]
    const newer = (epoch: number, seq: number) => (before: CheckpointRow | undefined) =>
      before !== undefined && (before.epoch > epoch || before.seq >= seq)
        ? undefined
        : row({ epoch, seq, ...late })
    const changes = await Promise.all([
      kept.change('job', 't', () => row({ epoch: 2, seq: 1, ...old })),
      // Of an older attempt: it does not replace what is newer, though its counter is higher.
      kept.change('job', 't', newer(1, 9)),
    ])
    expect(changes).toEqual([true, false])
    expect(kept.get('job', 't')).toMatchObject({ epoch: 2, root: old.root })
  })

  it('is held for two jobs that have the same, until both let go', async () => {
    const kept = new KeptCheckpoints(journal.checkpoints, store)
    const same = await made('same')
    for (const job of ['a', 'b']) await kept.change(job, 't', () => row({ job, ...same }))
    await store.release(same.root, 'taking')
    await kept.forgetJob('a')
    expect(kept.jobOf(same.root)).toBe('b')
    expect(await store.get(same.root)).toBeDefined()
    await kept.forgetJob('b')
    expect(await store.get(same.root)).toBeUndefined()
  })

  it('is not seen while it is doubted, and what was being written then goes as well', async () => {
    const kept = new KeptCheckpoints(journal.checkpoints, store)
    const [one, other] = [await made('one'), await made('other')]
    await kept.change('job', 't', () => row(one))
    const written = kept.change('job', 't', () => row({ ...other, seq: 2 }))
    kept.doubt('job', ['t'])
    expect(kept.get('job', 't')).toBeUndefined()
    await written
    expect(kept.get('job', 't')).toBeUndefined()
    await kept.forget('job', 't')
    for (const { root } of [one, other]) await store.release(root, 'taking')
    expect([(await store.usage()).files, journal.checkpoints.open()]).toEqual([0, []])
    // The next attempt's counts again.
    const next = await made('next')
    await kept.change('job', 't', () => row({ ...next, epoch: 2 }))
    expect(kept.get('job', 't')!.root).toBe(next.root)
    kept.doubt('job', ['t'])
    kept.trust('job', ['t'])
    expect(kept.get('job', 't')!.root).toBe(next.root)
  })

  it('stays as it was when it cannot be written', async () => {
    const kept = new KeptCheckpoints(journal.checkpoints, store)
    const [a, b] = [await made('one'), await made('other')]
    await kept.change('job', 't', () => row(a))
    await journal.close()
    await expect(kept.change('job', 't', () => row({ ...b, seq: 2 }))).rejects.toThrow()
    for (const { root } of [a, b]) await store.release(root, 'taking')
    expect(kept.get('job', 't')!.root).toBe(a.root)
    expect(await store.get(a.root)).toBeDefined()
    expect(await store.get(b.root)).toBeUndefined()
    journal = openClientJournal(join(dir, 'client.db'), { durable: true })
  })
})
