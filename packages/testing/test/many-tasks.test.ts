import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { createLocalNetwork } from '../src/index.ts'

const PROGRAM = new URL('./programs/slow-reader.ts', import.meta.url).pathname
const TASKS = 20_000
/**
 * About half of it is what a client is that has done nothing. A task that stayed in memory would take 3 KB:
 * together more than the rest.
 */
const HEAP = ['--max-old-space-size=80', '--max-semi-space-size=4']

it('a client with a small heap runs any number of generated tasks', async () => {
  const share = { cpus: 128, memory: '128GiB', disk: '128GiB' }
  await using network = await createLocalNetwork({ hosts: [{ share }, { share }] })
  const bootstrap = network.hosts.flatMap(({ addresses }) => addresses)
  const state = await mkdtemp(join(tmpdir(), 'manyhands-many-'))
  try {
    const options = JSON.stringify({ bootstrap, state, tasks: TASKS, pace: 0 })
    const argv = ['--conditions=@manyhands/source', ...HEAP, PROGRAM, options]
    const { stdout } = await promisify(execFile)(process.execPath, argv)
    const last = JSON.parse(stdout.trim().split('\n').at(-1)!)
    expect(last).toMatchObject({ seen: TASKS, over: true })
  } finally {
    await rm(state, { recursive: true, force: true })
  }
}, 240_000)
