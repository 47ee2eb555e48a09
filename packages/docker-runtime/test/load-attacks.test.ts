import type { TaskResult } from '@manyhands/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DockerNetwork } from './docker-network.ts'
import { engineForTests } from './engine-for-tests.ts'

const MIB = 1024 ** 2
/** What the host's process may take more than after an ordinary flood of output, MiB. */
const HOST_MORE_MIB = 50

/** What an abuser does, and the word for its end. */
const ABUSES: [does: string, script: string, end: string, disk?: string][] = [
  [
    'writes 10 GiB',
    'i=0; while [ $i -lt 1000 ]; do head -c 10m /dev/zero >/out/$i; i=$((i+1)); done; sleep 100',
    'TASK_DISK',
  ],
  [
    'makes a million files',
    'i=0; while [ $i -lt 1000000 ]; do : >/out/$i; i=$((i+1)); done; sleep 100',
    'TASK_DISK',
    // Small, because removing them takes longest.
    '1MiB',
  ],
  // It waits without a fork of its own, which would end it by itself where there are no more.
  [
    'forks without end',
    'bomb() { bomb | bomb & }; bomb 2>/dev/null; while :; do :; done',
    'TASK_TIMEOUT',
  ],
  ['takes four times its memory', 'head -c 256m /dev/zero | tail -c 256m >/dev/null', 'TASK_OOM'],
  ['writes to stdout without end', 'yes', 'TASK_TIMEOUT'],
]
const NEIGHBOUR =
  'i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done >/tmp/a; sleep 2; sha256sum </tmp/a >/out/sum; wc -l </tmp/a'

describe.skipIf(!(await engineForTests()))('a neighbour of a task that', () => {
  let network: DockerNetwork
  let right: TaskResult
  beforeAll(async () => {
    network = await DockerNetwork.open()
    right = (await network.run({ neighbour: NEIGHBOUR })).get('neighbour')!
    expect(right.ok, 'the neighbour alone').toBe(true)
    // Once, a process takes what its allocator keeps for reading fast; what matters is that it is not
    // more the longer it lasts.
    await network.run({ flood: 'yes | head -c 100m' })
  })
  afterAll(() => network[Symbol.asyncDispose]())

  it.for(ABUSES)('%s does its work', async ([, script, code, disk = '16MiB']) => {
    // Those that end by a rule of their own get the time for it on a busy computer.
    const timeout = code === 'TASK_TIMEOUT' ? '5s' : '50s'
    const resources = { cpus: 0.5, memory: '64MiB', disk, pids: 32 } as const
    await network.hostMemory()
    const before = await network.hostMemory()
    const [abused, beside] = await Promise.all([
      network.run({ abuser: script }, { timeout, resources }),
      network.run({ neighbour: NEIGHBOUR }),
    ])
    const neighbour = beside.get('neighbour')!
    expect(neighbour).toMatchObject({ ok: true, stdoutTail: '200\n', attempts: 1 })
    expect(neighbour.outputs.artifact).toBe(right.outputs.artifact)
    const abuser = abused.get('abuser')!
    expect(abuser.error?.code).toBe(code)
    expect(abuser.stdoutTail.length).toBeLessThanOrEqual(16 * 1024)
    await network.settled()
    const most = await network.hostMemory()
    expect((most - before) / MIB, 'MiB more in the host').toBeLessThan(HOST_MORE_MIB)
  })
})
