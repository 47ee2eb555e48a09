import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createClient, type Job, type JobEvent } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engineForTests } from '../../docker-runtime/test/engine-for-tests.ts'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'
import { removeContainersOf, sh } from './docker-for-tests.ts'

type Saved = Extract<JobEvent, { kind: 'checkpoint' }>

describe.skipIf(!(await engineForTests()))('checkpoints of containers', () => {
  let dir: string
  let network: LocalNetwork
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-checkpoints-'))
    network = await createLocalNetwork({
      hosts: [{ share: { cpus: 1, memory: '1GiB', disk: '4GiB' }, state: join(dir, 'host') }],
      runtimes: () => [docker()],
    })
  })
  afterEach(async () => {
    await network.close()
    await removeContainersOf(...network.hosts.map(({ instance }) => instance))
    await rm(dir, { recursive: true, force: true })
  })

  async function saved(job: Job, count: number): Promise<Saved> {
    let left = count
    for await (const event of job.events()) {
      if (event.kind !== 'checkpoint') continue
      left -= 1
      if (left === 0) return event
    }
    throw new Error('the job ended before')
  }

  it('are of one moment, and the next attempt may write to all that is in them', async () => {
    const job = await network.client.submit({
      ...sh(
        [
          'if [ -e /out/state/b ]; then',
          // The one is written before the other: at any moment it is as far, or one step ahead.
          '  echo "$(cat /out/state/a) $(cat /out/state/b) $MANYHANDS_CHECKPOINT" && [ -x /out/state/run ] &&',
          '  echo more >> /out/state/a && mkdir /out/state/new && rm /out/state/b && echo fine; exit',
          'fi',
          'mkdir /out/state; printf "#!/bin/sh" > /out/state/run; chmod +x /out/state/run; i=0',
          'while :; do i=$((i + 1))',
          '  for f in a b; do echo $i > /out/.part && mv /out/.part /out/state/$f; done',
          'done',
        ].join('\n'),
      ),
      outputs: ['/out/state/a'],
      retry: { attempts: 1 },
      checkpoint: { paths: ['/out/state/**'], every: '1s' },
      tasks: ['t'],
    })
    const { attempt } = await saved(job, 2)
    await network.hosts[0]!.kill(attempt)
    const [result] = await Array.fromAsync(job.results())
    expect(result!.error).toBeUndefined()
    const [line, last] = result!.stdoutTail.trim().split('\n')
    expect(last).toBe('fine')
    const [a, b, restored] = line!.split(' ').map(Number)
    expect(restored).toBe(1)
    expect(b).toBeGreaterThan(0)
    expect([b!, b! + 1]).toContain(a)
    expect(Buffer.from(await result!.outputs.read('state/a')).toString()).toBe(`${a}\nmore\n`)
  })

  it('follow no link, and what is no plain file makes none', async () => {
    const job = await network.client.submit({
      ...sh('mkdir /out/s; ln -s /etc/passwd /out/s/link; echo 1 > /out/s/a; sleep 4'),
      outputs: ['/out/none*'],
      retry: { attempts: 1 },
      checkpoint: { paths: ['/out/s/**'], every: '1s' },
      tasks: ['t'],
    })
    await job.wait()
    const events: JobEvent[] = await Array.fromAsync(job.events())
    expect(events.filter(({ kind }) => kind === 'checkpoint')).toEqual([])
  })

  it('that a task makes for a pause of its owner leave it paused', async () => {
    const job = await network.client.submit({
      ...sh('echo 1 > /out/a; i=0; while :; do i=$((i + 1)); echo $i > /out/i; sleep 0.1; done'),
      checkpoint: { paths: ['/out/*'], every: '1h' },
      tasks: ['t'],
    })
    const [host] = network.hosts
    for await (const event of job.events()) {
      if (event.kind !== 'attempt' || event.phase !== 'running') continue
      await host!.pause(event.attempt)
      break
    }
    const { attempt } = await saved(job, 1)
    expect(host!.attempts().find(({ id }) => id === attempt)!.phase).toBe('paused')
    await job.cancel()
  })

  it('go on with a host that is started again: what is newer stays newer', async () => {
    const program = new URL('./programs/docker-host-process.ts', import.meta.url).pathname
    const listen = `/ip4/127.0.0.1/tcp/${20_000 + (process.pid % 10_000)}`
    const children: ChildProcess[] = []
    const start = async () => {
      const options = JSON.stringify({ state: join(dir, 'process'), listen })
      const child = spawn(process.execPath, ['--conditions=@manyhands/source', program, options], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      children.push(child)
      const [line] = await once(createInterface({ input: child.stdout }), 'line')
      return JSON.parse(line) as { peerId: string; instance: string; addresses: string[] }
    }
    const { peerId, instance, addresses } = await start()
    try {
      await using client = await createClient({ network: { bootstrap: addresses } })
      const job = await client.submit({
        ...sh(
          'i=0; while :; do i=$((i + 1)); echo $i > /out/.i; mv /out/.i /out/i; sleep 0.2; done',
        ),
        checkpoint: { paths: ['/out/i'], every: '1s' },
        hosts: { only: [peerId] },
        tasks: ['t'],
      })
      const before = await saved(job, 3)
      children[0]!.kill('SIGKILL')
      await once(children[0]!, 'exit')
      await start()
      const after = await saved(job, 5)
      // The same attempt, in the same container: its counter goes on, or nothing of it would be taken.
      expect(after.attempt).toBe(before.attempt)
      await job.cancel()
    } finally {
      for (const child of children) child.kill('SIGKILL')
      await removeContainersOf(instance)
    }
  })
})
