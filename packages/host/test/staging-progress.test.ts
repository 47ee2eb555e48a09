import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Artifact, ArtifactStore, Network, TransferProgress } from '@manyhands/core'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Attempt } from '../src/attempt.ts'
import { InputStage, type StageSource } from '../src/input-stage.ts'
import { StagingNews } from '../src/staging-news.ts'
import { runningAttempt } from './attempt-for-tests.ts'

const [scene, textures] = ['a', 'b'].map((digit) => `sha256:${digit.repeat(64)}`) as [
  string,
  string,
]

/** A store whose transfers go only as far as they are told to, one per artifact for all who want it. */
function playedStore() {
  const transfers = new Map<
    string,
    { tell: Set<(bytes: number, total?: number) => void>; done: PromiseWithResolvers<Artifact> }
  >()
  const of = (root: string) => {
    const known = transfers.get(root)
    if (known !== undefined) return known
    const made = { tell: new Set<() => void>(), done: Promise.withResolvers<Artifact>() }
    transfers.set(root, made)
    return made
  }
  const store = {
    fetch: (root: string, _: unknown, options: { onProgress: () => void }) => {
      of(root).tell.add(options.onProgress)
      return of(root).done.promise
    },
    retain: () => {},
    release: () => Promise.resolve(),
    place: () => Promise.resolve(),
    keep: () => {},
  } as unknown as ArtifactStore
  return {
    store,
    came: (root: string, bytes: number, total?: number) => {
      for (const tell of of(root).tell) tell(bytes, total)
    },
    whole: (root: string, size: number) => of(root).done.resolve({ root, size } as Artifact),
  }
}

describe('how far a stage is', () => {
  let dir: string | undefined
  afterEach(async () => {
    if (dir !== undefined) await rm(dir, { recursive: true, force: true })
  })

  it('is told to everyone who waits for it, and its bytes are counted at one of them', async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-stage-'))
    const { store, came, whole } = playedStore()
    const stages = new InputStage(dir, store, {} as Network)
    const charged = [0, 0, 0]
    const sources = charged.map(
      (_, index): StageSource => ({
        peer: 'client',
        phase: 'inputs',
        maxBytes: 1000,
        signal: new AbortController().signal,
        onReceived: (bytes) => {
          charged[index]! += bytes
        },
      }),
    )
    const both = [
      { path: '/in/scene', root: scene, bytes: 100 },
      { path: '/in/textures', root: textures },
    ]
    // Two attempts of one job, and one of another job with the same scene.
    const parts = [
      stages.acquire(both, sources[0]!),
      stages.acquire(both, sources[1]!),
      stages.acquire([{ path: '/in/other', root: scene, bytes: 100 }], sources[2]!),
    ]
    const seen = () => parts.map(({ progress }) => progress())
    came(scene, 40, 90)
    expect(seen()).toMatchObject([{ bytes: 40 }, { bytes: 40 }, { bytes: 40, total: 90 }])
    expect(charged).toEqual([40, 0, 0])
    came(scene, 90, 90)
    whole(scene, 100)
    await parts[2]!.ready
    came(textures, 5, 10)
    expect(seen()).toMatchObject([
      { phase: 'inputs', bytes: 95, total: 100 },
      { phase: 'inputs', bytes: 95, total: 100 },
      { phase: 'inputs', bytes: 90, total: 90, etaMs: 0 },
    ])
    whole(textures, 10)
    await Promise.all(parts.map(({ ready }) => ready))
    expect(charged.reduce((sum, bytes) => sum + bytes)).toBe(95)
    for (const part of parts) await part.release()
  })
})

describe('news of what is staged', () => {
  afterEach(() => vi.useRealTimers())

  it('is told at most four times a second, only while there is some', () => {
    vi.useFakeTimers()
    const told: Attempt[] = []
    const news = new StagingNews((attempt) => told.push(attempt))
    const attempt = runningAttempt('a')
    let progress: TransferProgress = { phase: 'inputs', bytes: 0, rate: 0 }
    attempt.transfer = () => progress
    const unwatch = news.watch(attempt)
    for (let ms = 0; ms < 2000; ms += 10) {
      progress = { ...progress, bytes: ms }
      vi.advanceTimersByTime(10)
    }
    expect(told).toHaveLength(8)
    // Nothing comes any more: there is nothing to say either.
    vi.advanceTimersByTime(5000)
    expect(told).toHaveLength(8)
    progress = { ...progress, rate: 1 }
    vi.advanceTimersByTime(250)
    expect(told).toHaveLength(9)
    unwatch()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('an attempt', () => {
  it('says how far its client is with its outputs', () => {
    const attempt = runningAttempt('a')
    attempt.handedOver(5)
    expect(attempt.describe().transfer).toBeUndefined()
    attempt.end = { outputs: { root: scene, bytes: 20 } } as Attempt['end']
    attempt.handedOver(5)
    attempt.handedOver(10)
    expect(attempt.describe().transfer).toMatchObject({ phase: 'outputs', bytes: 15, total: 20 })
  })
})
