import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ArtifactStore, LIMITS, liveTreesSupported, type Runtime } from '@manyhands/core'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { AttemptControl } from '../src/attempt-control.ts'
import { CheckpointKeeper } from '../src/checkpoints/checkpoint-keeper.ts'
import { runningAttempt } from './attempt-for-tests.ts'

/** Attempts whose checkpoints are never finished, and how many were begun. */
async function setup(count: number) {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-keeper-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  await writeFile(join(dir, 'a'), 'x')
  const finish = Promise.withResolvers<never>()
  finish.promise.catch(() => {})
  const collect = vi.fn(() => finish.promise)
  const keeper = new CheckpointKeeper({
    store: { collect, release: async () => {} } as unknown as ArtifactStore,
    control: { still: (_: unknown, work: () => Promise<unknown>) => work() } as AttemptControl,
    journal: { checkpointed: async () => {} },
    taken: () => {},
    listening: () => true,
    diskShort: () => false,
    logger: { debug: () => {}, warn: () => {} },
  })
  const attempts = Array.from({ length: count }, (_, n) => {
    const attempt = runningAttempt(`a.${n}`)
    attempt.spec.checkpoint = { paths: ['/out/*'], everyMs: 3_600_000 }
    const { stop } = keeper.watch(attempt, dir, {
      capabilities: { liveOutputs: true },
    } as Runtime)
    onTestFinished(async () => {
      finish.reject(new Error('over'))
      await stop()
    })
    return attempt
  })
  return { keeper, attempts, collect }
}

describe.skipIf(!liveTreesSupported)('checkpoints that are not finished', () => {
  it(
    'are the last ones of attempts that are sent away, and hold up nobody for longer',
    async () => {
      const { keeper, attempts, collect } = await setup(1)
      keeper.soon(attempts[0]!)
      await vi.waitFor(() => expect(collect).toHaveBeenCalledTimes(1))
      await keeper.last(attempts)
      expect(collect).toHaveBeenCalledTimes(1)
    },
    LIMITS.checkpointLastMs * 4,
  )

  it('are made in turn for clients that ask', async () => {
    const { keeper, attempts, collect } = await setup(5)
    const asked = [keeper.asked(attempts), keeper.asked(attempts), keeper.asked(attempts)]
    await vi.waitFor(() => expect(collect).toHaveBeenCalledTimes(2))
    await new Promise((resolve) => setImmediate(resolve))
    expect(collect).toHaveBeenCalledTimes(2)
    for (const { ending } of attempts) ending.abort()
    await Promise.all(asked)
    expect(collect).toHaveBeenCalledTimes(2)
  })
})
