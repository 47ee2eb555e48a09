import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AttemptEnd, createArtifactStore, encodeDocument, NO_USAGE } from '@manyhands/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type JournaledAttempt, openHostJournal } from '../src/host-journal.ts'
import { tidyHostState } from '../src/tidy-host-state.ts'

let state: string
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'manyhands-tidy-'))
})
afterEach(() => rm(state, { recursive: true, force: true }))

const attempt = (id: string, input: string): JournaledAttempt => ({
  id,
  client: 'client',
  job: 'job',
  jobName: '',
  task: '1',
  spec: {
    runtime: 'scripted',
    image: 'any',
    env: {},
    inputs: [{ path: '/in/a', root: input }],
    outputs: [],
    resources: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
    timeoutMs: 0,
    networkProfile: 'none',
  },
  phase: 'staging',
  handle: undefined,
  end: undefined,
  limits: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
  gpuIds: [],
  pauses: [],
  intent: undefined,
})

it('keeps results that wait for their client and inputs of what may still run, whatever is asked', async () => {
  const store = await createArtifactStore({ dir: join(state, 'store') })
  const [result, input, other, ended] = await Promise.all(
    ['result', 'input', 'other', 'ended'].map(async (text) => {
      const { root } = await store.addBytes(Buffer.from(text))
      return root
    }),
  )
  store.keep(other!)
  await store.close()
  const journal = openHostJournal(join(state, 'host.db'), () => 'instance')
  await journal.reserve([attempt('over', ended!), attempt('runs', input!)])
  const end: AttemptEnd = {
    exitCode: 0,
    oom: false,
    timedOut: false,
    durationMs: 1,
    usage: NO_USAGE,
    stdoutTail: new Uint8Array(),
    stderrTail: new Uint8Array(),
    outputs: { root: result!, bytes: 6 },
  }
  await journal.sealed('over', 'completed', encodeDocument(end))

  await expect(tidyHostState(state)).rejects.toMatchObject({
    code: 'STATE_LOCKED',
    message: expect.stringContaining(`process ${process.pid}`),
  })
  await expect(tidyHostState(state, { dryRun: true })).rejects.toMatchObject({
    code: 'STATE_LOCKED',
  })
  await journal.close()

  const expected = {
    removed: { artifacts: 2, files: 2, bytes: 10 },
    kept: [
      { reason: 'results that wait for their client', artifacts: 1, bytes: 6 },
      { reason: 'inputs of attempts that are not over', artifacts: 1, bytes: 5 },
    ],
  }
  const asked: string[] = []
  const room = {
    room: 'images',
    collectGarbage: async ({ dryRun = false }) => {
      asked.push(`${dryRun}`)
      return { room: 'images', removed: { artifacts: 1, files: 2, bytes: 3 }, kept: [] }
    },
  }
  for (const dryRun of [true, false]) {
    const report = await tidyHostState(state, { dryRun, keepBytes: 0 }, [room])
    expect(report).toMatchObject({ dryRun, sections: [expected, { room: 'images' }] })
  }
  expect(asked).toEqual(['true', 'false'])
  expect(await tidyHostState(state, { keepBytes: 0 })).toMatchObject({
    sections: [{ removed: { artifacts: 0, files: 0, bytes: 0 } }],
  })
  await using again = await createArtifactStore({ dir: join(state, 'store') })
  expect([result, input, other, ended].map((root) => again.has(root!))).toEqual([
    ...[true, true, false, false],
  ])
})

it('says where there is no state', async () => {
  await expect(tidyHostState(join(state, 'missing'))).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
})
