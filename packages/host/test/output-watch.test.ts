import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createArtifactStore,
  liveTreesSupported,
  type Runtime,
  type StreamedOutput,
} from '@manyhands/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { OutputWatcher, type OutputWatchOptions, releaseStreamed } from '../src/output-watch.ts'
import { runningAttempt } from './attempt-for-tests.ts'

const RUNTIME = { capabilities: { liveOutputs: true } } as Runtime
const MIB = 1024 ** 2

async function setup(over: Partial<OutputWatchOptions> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-watch-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const out = join(dir, 'out')
  await mkdir(out)
  const store = await createArtifactStore({ dir: join(dir, 'store') })
  onTestFinished(() => store.close())
  const attempt = runningAttempt('a.1')
  attempt.spec.outputs = ['/out/**']
  attempt.limits = { ...attempt.limits, diskBytes: 3 * MIB }
  const told: StreamedOutput[] = []
  let wake = () => {}
  const watcher = new OutputWatcher({
    store,
    listening: () => true,
    diskShort: () => false,
    streamed: (_, file) => {
      told.push(file)
      wake()
    },
    logger: { debug: () => {}, warn: () => {} },
    ...over,
  })
  /** Until so many files were told. */
  const heard = async (count: number) => {
    while (told.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return told
  }
  const write = async (path: string, content: string | Uint8Array) => {
    await writeFile(join(out, `.${path}`), content)
    await rename(join(out, `.${path}`), join(out, path))
  }
  const watch = () => watcher.watch(attempt, out, RUNTIME)
  return { attempt, out, store, told, watch, heard, write, watcher }
}

describe.skipIf(!liveTreesSupported)('the watch over what an attempt writes', () => {
  it('tells of a file when it is complete, and again when it has changed', async () => {
    const { attempt, store, watch, heard, write } = await setup()
    await write('a', 'one')
    const watching = watch()
    const [first] = await heard(1)
    expect(first).toMatchObject({ path: 'a', bytes: 3 })
    await write('a', 'other')
    const [, second] = await heard(2)
    expect(second).toMatchObject({ path: 'a', bytes: 5 })
    await watching.stop()
    expect(await store.get(first!.root)).toBeUndefined()
    expect(Buffer.from(await store.read(second!.root, '')).toString()).toBe('other')
    expect(attempt.streamed.roots()).toEqual([second!.root])
    await releaseStreamed(attempt, store)
    expect((await store.usage()).files).toBe(0)
  })

  it('keeps what is written and its copies within the disk of the attempt', async () => {
    const { attempt, store, told, watch, heard, write } = await setup()
    attempt.usage = { ...attempt.usage, disk: MIB }
    await write('large', Buffer.alloc(2.5 * MIB))
    await write('a', Buffer.alloc(MIB, 'a'))
    const watching = watch()
    await heard(1)
    await write('b', Buffer.alloc(0.5 * MIB, 'b'))
    await heard(2)
    expect(told.map(({ path }) => path)).toEqual(['a', 'b'])
    // It needs its disk itself now.
    attempt.usage = { ...attempt.usage, disk: 2.2 * MIB }
    await write('c', 'c')
    await heard(3)
    await watching.stop()
    expect(attempt.streamed.all().map(({ path }) => path)).toEqual(['b', 'c'])
    expect(await store.get(told[0]!.root)).toBeUndefined()
  })

  it('waits for a client that listens, for disk, and for a task that goes on', async () => {
    let listening = false
    let short = true
    const looked: string[] = []
    const { attempt, told, watch, heard, write } = await setup({
      listening: () => {
        looked.push('listening')
        return listening
      },
      diskShort: () => {
        looked.push('disk')
        return short
      },
    })
    await write('a', 'one')
    attempt.move('paused')
    const watching = watch()
    const until = async (word: string) => {
      while (!looked.includes(word)) await new Promise((resolve) => setTimeout(resolve, 10))
    }
    attempt.move('running')
    await until('listening')
    listening = true
    await until('disk')
    expect(told).toEqual([])
    short = false
    await heard(1)
    await watching.stop()
  })

  it('is none where files are not to be seen, or not wanted', async () => {
    const { attempt, watcher, out, store } = await setup()
    const unseen = { capabilities: { liveOutputs: false } } as Runtime
    await watcher.watch(attempt, out, unseen).stop()
    attempt.spec.streamOutputs = false
    await watcher.watch(attempt, out, RUNTIME).stop()
    attempt.spec.streamOutputs = true
    // Nothing to look at, or a store that is closed, is no error.
    await rm(out, { recursive: true })
    await store.close()
    await watcher.watch(attempt, out, RUNTIME).stop()
  })
})
