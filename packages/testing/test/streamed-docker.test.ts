import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Job, JobEvent } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engineForTests } from '../../docker-runtime/test/engine-for-tests.ts'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'
import { removeContainersOf, sh } from './docker-for-tests.ts'

type OutputEvent = Extract<JobEvent, { kind: 'output' }>

const SECRET = 'the secret of the host'

describe.skipIf(!(await engineForTests()))('a container that runs', () => {
  let dir: string
  let network: LocalNetwork
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-streamed-'))
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

  /** Lets the tasks end that wait for it. */
  const end = async () => {
    for (const { id } of network.hosts[0]!.attempts()) {
      await writeFile(join(dir, 'host/attempts', id, 'out/stop'), '')
    }
  }

  async function* outputsOf(job: Job): AsyncGenerator<OutputEvent> {
    for await (const event of job.events()) if (event.kind === 'output') yield event
  }

  it('hands over frames as it renames them, and not what it still writes', async () => {
    const job = await network.client.submit({
      ...sh(
        [
          'mkdir /out/frames; exec 3>>/out/open.log; i=0',
          'while [ ! -e /out/stop ]; do',
          '  echo line >&3; usleep 50000; [ $i -lt 3 ] || continue',
          '  i=$((i+1)); head -c 100000 /dev/urandom >/out/frames/$i.part',
          '  mv /out/frames/$i.part /out/frames/$i.png',
          'done',
          'echo end >&3',
        ].join('\n'),
      ),
      outputs: ['/out/frames/*.png', '/out/*.log'],
      tasks: ['a'],
    })
    const frames = new Map<string, OutputEvent>()
    for await (const event of outputsOf(job)) {
      frames.set(event.path, event)
      if (frames.size === 3) break
    }
    expect(job.counts.running).toBe(1)
    expect([...frames.keys()].sort()).toEqual(['frames/1.png', 'frames/2.png', 'frames/3.png'])
    const early = await Promise.all([...frames.values()].map(({ file }) => file.bytes()))
    expect(early.map(({ length }) => length)).toEqual([100_000, 100_000, 100_000])
    const before = job.progress.bytesDown
    await end()
    const [result] = await Array.fromAsync(job.results())
    expect(result!.ok).toBe(true)
    const late = await Promise.all([...frames.keys()].map((path) => result!.outputs.read(path)))
    expect(late.map((bytes) => Buffer.from(bytes))).toEqual(
      early.map((bytes) => Buffer.from(bytes)),
    )
    const log = Buffer.from(await result!.outputs.read('open.log')).toString()
    expect(log).toMatch(/^(line\n)+end\n$/)
    // Of all that came with the result only the log had not been here.
    expect(job.progress.bytesDown - before).toBeLessThan(log.length + 1000)
  })

  it('cannot have a file of the host sent to its client', async () => {
    const host = join(dir, 'secrets')
    await mkdir(join(host, 'frames'), { recursive: true })
    for (const name of ['frames/a', 'secret']) await writeFile(join(host, name), SECRET)
    const job = await network.client.submit({
      ...sh(
        [
          `host=${host}; cd /out; mkdir frames; n=0`,
          '(while [ ! -e stop ]; do',
          '  mkdir x; echo mine >x/a; mv frames y; mv x frames; rm -r y',
          '  ln -s $host/frames x; mv frames y; mv x frames; rm -r y; rm frames; mkdir frames',
          'done) 2>/dev/null &',
          '(while [ ! -e stop ]; do',
          '  echo mine >f; mv f file; ln -s $host/secret f; mv -f f file; rm file',
          '  busybox mkfifo p; mv p file; rm file',
          'done) 2>/dev/null &',
          'while [ ! -e stop ]; do n=$((n+1)); echo $n >.n; mv .n n$((n % 8)); usleep 500000; done',
          'wait; rm -r frames file f x y p',
        ].join('\n'),
      ),
      resources: { cpus: 0.8, memory: '64MiB', disk: '64MiB', pids: 32 },
      tasks: ['a'],
    })
    let sound = 0
    for await (const { path, file } of outputsOf(job)) {
      const text = await file.bytes().then(
        (bytes) => Buffer.from(bytes).toString(),
        () => '',
      )
      expect(text).not.toContain('secret')
      if (/^n\d$/.test(path)) sound += 1
      if (sound === 8) break
    }
    expect(job.counts.running).toBe(1)
    await job.cancel()
  })

  it('is heard whole, or as far as its reader comes, with a mark for every byte between', async () => {
    const written = 12_000_000
    const job = await network.client.submit({
      ...sh(`yes 0123456789abcde | head -c ${written}`),
      tasks: ['a'],
    })
    let heard = 0
    let lost = 0
    for await (const { text, gap = 0 } of job.logs({ task: 'a', follow: true })) {
      // As late as can be.
      if (heard === 0) await job.wait()
      heard += text.length
      lost += gap
    }
    expect(heard + lost).toBe(written)
    expect(lost).toBeGreaterThan(0)
    const [result] = await Array.fromAsync(job.results())
    expect(result!.stdoutTail).toHaveLength(16 * 1024)
  })
})
