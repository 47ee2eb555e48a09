import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Job } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import type { Host } from '@manyhands/host'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engine, engineForTests } from '../../docker-runtime/test/engine-for-tests.ts'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'
import { containersOf, removeContainersOf, sh, until } from './docker-for-tests.ts'

describe.skipIf(!(await engineForTests()))('warm containers of a job', () => {
  let dir: string
  let network: LocalNetwork
  let host: Host
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-warm-'))
    network = await createLocalNetwork({
      hosts: [{ share: { cpus: 0.2, memory: '1GiB', disk: '4GiB' }, state: join(dir, 'host') }],
      runtimes: () => [docker()],
    })
    host = network.hosts[0]!
  })
  afterEach(async () => {
    const { instance } = host
    await network.close()
    expect(await containersOf(instance)).toEqual([])
    const left = await readdir(join(dir, 'host', 'attempts'))
    expect(left.filter((name) => name.endsWith('.warm'))).toEqual([])
    await removeContainersOf(instance)
    await rm(dir, { recursive: true, force: true })
  })

  /** Tells in which container it ran, by something that only that one has. */
  const NAMED = '[ -e /tmp/name ] || head -c 8 /dev/urandom | od -An -tx1 | tr -d " \\n" >/tmp/name'

  async function textOf(job: Job<unknown>) {
    const results = await Array.fromAsync(job.results({ ordered: true }))
    const texts = results.map(async ({ outputs }) =>
      outputs.files.length === 0 ? '' : Buffer.from(await outputs.read('a')).toString(),
    )
    return { results, texts: await Promise.all(texts) }
  }

  it('are two for two slots, with the inputs and outputs of each task its own', async () => {
    const job = await network.client.submit({
      ...sh(''),
      command: undefined,
      task: (item) => ({
        command: [
          '/bin/sh',
          '-c',
          `${NAMED}; ls /out; cat /in/common /in/own >/out/a; cat /tmp/name; echo x >/out/.hidden`,
        ],
        inputs: { '/in/own': { text: ` and ${item}` } },
      }),
      inputs: { '/in/common': { text: 'common' } },
      outputs: ['/out/a'],
      tasks: '1-30',
      warm: {},
    })
    const { results, texts } = await textOf(job)
    expect(texts).toEqual(Array.from({ length: 30 }, (_, index) => `common and ${index + 1}`))
    expect(results.every(({ ok, attempts }) => ok && attempts === 1)).toBe(true)
    expect(new Set(results.map(({ stdoutTail }) => stdoutTail)).size).toBeLessThanOrEqual(2)
    // Long before they would end by themselves.
    await until(async () => (await containersOf(host.instance)).length === 0, 'they have ended')
  })

  it('keep what their setup began; its outputs are copied, for it may have them open', async () => {
    // A server that makes what it is asked for, and keeps the file open and writes on.
    const server = [
      'echo loaded >/tmp/scene',
      '(exec 9>/tmp/none; while :; do [ -e /tmp/ask ] && { exec 9>/out/a; cat /tmp/scene >&9; rm /tmp/ask; mv /tmp/asked /tmp/done; }; echo late >&9; sleep 0.02; done) &',
      'echo up',
    ].join('\n')
    const job = await network.client.submit({
      ...sh(
        'touch /tmp/asked /tmp/ask; while [ ! -e /tmp/done ]; do sleep 0.01; done; rm /tmp/done',
      ),
      tasks: '1-6',
      hosts: { perHost: 1 },
      warm: { setup: ['/bin/sh', '-c', server] },
    })
    const { results, texts } = await textOf(job)
    expect(results.map(({ ok, error }) => error?.message ?? ok)).toEqual(Array(6).fill(true))
    // What it wrote after that is not in the result, nor in the store.
    for (const text of texts) expect(text).toMatch(/^loaded\n(late\n)*$/)
  })

  it('end with the task that fails, and tell its end as it was', async () => {
    const job = await network.client.submit({
      ...sh(`${NAMED}; cat /tmp/name; [ {{item}} = 2 ] && kill -9 $$; exit 0`),
      tasks: [0, 1, 2, 3, 4],
      hosts: { perHost: 1 },
      retry: { attempts: 1 },
      warm: {},
    })
    const { results } = await textOf(job)
    expect(results.map(({ ok, signal }) => signal ?? ok)).toEqual([
      true,
      true,
      'SIGKILL',
      true,
      true,
    ])
    const names = results.map(({ stdoutTail }) => stdoutTail)
    expect([names[1], names[2], names[4]]).toEqual([names[0], names[0], names[3]])
    expect(names[3] === names[2]).toBe(false)
  })

  it('have the limits of their tasks, each anew', async () => {
    // By large blocks: byte by byte, as busybox's head writes, 80 MB take a tenth of a core longer than 3 s.
    const write = 'dd if=/dev/zero of=/out/$f bs=1M count=40'
    const job = await network.client.submit({
      ...sh(
        `case {{item}} in time) sleep 100;; disk) for f in a b; do ${write}; done; sleep 1;; memory) dd if=/dev/zero of=/dev/null bs=60M count=1;; esac`,
      ),
      tasks: ['fine', 'time', 'disk', 'memory', 'last'],
      hosts: { perHost: 1 },
      timeout: '3s',
      retry: { attempts: 1 },
      warm: {},
    })
    const { results } = await textOf(job)
    expect(results.map(({ error }) => error?.code)).toEqual([
      undefined,
      'TASK_TIMEOUT',
      'TASK_DISK',
      'TASK_OOM',
      undefined,
    ])
  })

  it('are paused, limited and killed by their owner as any other', async () => {
    const job = await network.client.submit({
      ...sh('echo up; while :; do sleep 0.1; done'),
      tasks: ['x'],
      warm: { setup: ['/bin/sh', '-c', '(while :; do sleep 1; done) & echo up'] },
    })
    await until(() => host.attempts()[0]?.phase === 'running', 'it runs')
    const { id } = host.attempts()[0]!
    await host.pause(id)
    const [container] = await containersOf(host.instance)
    expect((await engine.getContainer(container!).inspect()).State.Paused).toBe(true)
    await host.resume(id)
    await host.limit(id, { memory: '24MiB' })
    expect((await engine.getContainer(container!).inspect()).HostConfig.Memory).toBe(24 * 1024 ** 2)
    await host.kill(id)
    expect(await containersOf(host.instance).then((all) => all.includes(container!))).toBe(false)
    await job.cancel()
  })

  it('that rest end when another job needs their room', async () => {
    const gate = Promise.withResolvers<void>()
    async function* slow() {
      yield 1
      yield 2
      await gate.promise
    }
    const job = await network.client.submit({ ...sh('true'), tasks: slow(), warm: {} })
    await until(
      async () => job.counts.completed === 2 && (await containersOf(host.instance)).length === 2,
      'both rest',
    )
    const other = await network.client.run({
      ...sh('echo other'),
      resources: { cpus: 0.2, memory: '32MiB', disk: '64MiB', pids: 16 },
      tasks: ['x'],
    })
    expect(other.counts.completed).toBe(1)
    gate.resolve()
    await job.wait()
  })
})
