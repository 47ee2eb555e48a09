import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createNetwork,
  DEFAULT_RESOURCES,
  ManyhandsError,
  type Runtime,
  type RuntimeTask,
} from '@manyhands/core'
import { createHost } from '@manyhands/host'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { scripted } from '../src/index.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

/** An engine whose sandboxes outlive its hosts, and that can be away. */
class PlayedEngine {
  away = false
  kills = 0
  readonly #inner = scripted()

  /** What one host sees of it. */
  runtime(): Runtime {
    const inner = this.#inner
    return {
      name: inner.name,
      capabilities: { ...inner.capabilities, recover: true },
      open: async () => {},
      fingerprint: async () => ({ ...(await inner.fingerprint()), available: !this.away }),
      start: async (...asked) => this.#task(await inner.start(...asked)),
      recover: async (handle) => {
        this.#answer()
        const task = await inner.recover(handle)
        return task && this.#task(task)
      },
      list: async () => {
        this.#answer()
        return inner.list()
      },
      close: async () => {},
    }
  }

  async sandboxes(): Promise<number> {
    return (await this.#inner.list()).length
  }

  #task(task: RuntimeTask): RuntimeTask {
    return {
      handle: task.handle,
      wait: () => task.wait(),
      output: () => task.output(),
      stats: () => task.stats(),
      stop: (options) => task.stop(options),
      kill: async () => {
        this.kills += 1
        this.#answer()
        await task.kill()
      },
      remove: async () => {
        this.#answer()
        await task.remove()
      },
    }
  }

  #answer(): void {
    if (this.away) throw new ManyhandsError('RUNTIME_UNAVAILABLE', 'the engine is away')
  }
}

it('a kill is repeated until the engine is back, and holds when the host dies before', async () => {
  const engine = new PlayedEngine()
  const options = (state: string) => ({
    runtimes: [engine.runtime()],
    share: { cpus: 4, memory: '8GiB', disk: '8GiB' },
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
    state: join(dir, state),
  })
  await using host = await createHost(options('state'))
  // A host that closes waits for its sandboxes, also when an expectation failed.
  using restored = new DisposableStack()
  restored.defer(() => {
    engine.away = false
  })
  await using client = await createNetwork({ bootstrap: host.addresses, gossip: false })
  await client.call(host.peerId, 'attempt.offer', {
    job: 'j',
    jobName: '',
    spec: {
      runtime: 'scripted',
      image: 'any',
      command: ['run', '--hang'],
      env: {},
      inputs: [],
      outputs: [],
      resources: DEFAULT_RESOURCES,
      timeoutMs: 0,
      networkProfile: 'none',
    },
    attempts: [{ id: 'a.1', task: 'a', epoch: 1 }],
  })
  await expect.poll(() => host.attempts()[0]?.phase).toBe('running')
  engine.away = true
  const killed = host.kill('a.1', 'not on my computer')
  await expect.poll(() => engine.kills, { timeout: 10_000 }).toBeGreaterThan(2)
  expect(await engine.sandboxes()).toBe(1)

  // What is on the disk now is what a host has that died now.
  await cp(join(dir, 'state'), join(dir, 'after'), {
    recursive: true,
    filter: (path) => !path.endsWith('lock'),
  })
  {
    await using next = await createHost(options('after'))
    await expect
      .poll(() => next.attempts())
      .toMatchObject([{ id: 'a.1', phase: 'evicted', reason: 'not on my computer' }])
    expect(await engine.sandboxes()).toBe(1)
    engine.away = false
    await expect.poll(() => engine.sandboxes(), { timeout: 10_000 }).toBe(0)
  }
  await killed
  expect(host.attempts()).toMatchObject([
    { id: 'a.1', phase: 'evicted', reason: 'not on my computer' },
  ])
})
