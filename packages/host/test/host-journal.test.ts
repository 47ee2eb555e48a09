import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_RESOURCES } from '@manyhands/core'
import { expect, it } from 'vitest'
import { type JournaledAttempt, openHostJournal } from '../src/host-journal.ts'

const attempt = (id: string, nonce?: string): JournaledAttempt => ({
  id,
  client: 'client',
  job: 'job',
  jobName: '',
  task: '1',
  spec: {
    runtime: 'scripted',
    image: 'any',
    env: {},
    inputs: [],
    outputs: [],
    resources: DEFAULT_RESOURCES,
    timeoutMs: 0,
    networkProfile: 'none',
  },
  ...(nonce === undefined ? {} : { nonce }),
  phase: 'offered',
  handle: undefined,
  end: undefined,
  limits: DEFAULT_RESOURCES,
  gpuIds: [],
  pauses: [],
  intent: undefined,
})

it('knows after a restart what a receipt has to repeat, and forgets it with its attempt', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-journal-'))
  const path = join(dir, 'host.db')
  const reopened = async (work: (journal: ReturnType<typeof openHostJournal>) => Promise<void>) => {
    const journal = openHostJournal(path, () => 'instance')
    await work(journal)
    await journal.close()
  }
  const nonces = (journal: ReturnType<typeof openHostJournal>) =>
    journal.attempts().map(({ id, nonce }) => [id, nonce])
  try {
    await reopened((journal) => journal.reserve([attempt('a.1', 'ab'.repeat(16)), attempt('b.1')]))
    await reopened(async (journal) => {
      expect(nonces(journal)).toEqual([
        ['a.1', 'ab'.repeat(16)],
        ['b.1', undefined],
      ])
      await journal.forget(['a.1'])
      await journal.reserve([attempt('a.1', 'cd'.repeat(16))])
    })
    await reopened(async (journal) => {
      expect(nonces(journal)).toContainEqual(['a.1', 'cd'.repeat(16)])
    })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})
