import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createArtifactStore, ManyhandsError, type Network } from '@manyhands/core'
import { expect, it, onTestFinished } from 'vitest'
import { CheckpointRestore } from '../src/checkpoints/checkpoint-restore.ts'
import { runningAttempt } from './attempt-for-tests.ts'

it.each([
  ['ARTIFACT_MISSING', true],
  ['ARTIFACT_CORRUPT', true],
  ['PEER_GONE', false],
] as const)(
  'a checkpoint that cannot be had, %s: says which, if it is its fault',
  async (code, says) => {
    const dir = await mkdtemp(join(tmpdir(), 'manyhands-restore-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const store = await createArtifactStore({ dir: join(dir, 'store') })
    onTestFinished(() => store.close())
    const attempt = runningAttempt('a.1')
    const root = `sha256:${'a'.repeat(64)}`
    attempt.spec.restore = { root, bytes: 3 }
    const gone = Object.assign(Object.create(store), {
      retain: () => {},
      release: async () => {},
      fetch: async () => {
        throw new ManyhandsError(code, 'it is not here')
      },
    })
    // It is there, and gives nothing: one that is away would be waited for.
    const network = { isConnected: () => true } as unknown as Network
    const brought = new CheckpointRestore(gone, network).bring(attempt, join(dir, 'out'), {
      peer: 'client',
      maxBytes: 3,
      signal: new AbortController().signal,
      onReceived: () => {},
    })
    const details = says ? { restore: root } : undefined
    await expect(brought).rejects.toMatchObject({ code, details })
  },
)
