import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AdmissionRequest, Host } from '@manyhands/host'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { canStart } from '../own-engines.ts'
import { until } from '../sandbox-for-tests.ts'
import { JOB, run, TwoEngines } from './two-engines.ts'

const HOST = fileURLToPath(new URL('../host-process.ts', import.meta.url))

describe.skipIf(!canStart('dockerd', 'ip'))('an owner and images that clients bring', () => {
  let engines: TwoEngines

  beforeAll(async () => {
    engines = await TwoEngines.start()
  }, 60_000)

  afterEach(() => engines.clear())
  afterAll(() => engines?.[Symbol.asyncDispose](), 60_000)

  const idOf = async (name: string) => (await engines.client.docker.getImage(name).inspect()).Id

  async function verdict(host: Host, request: Partial<AdmissionRequest>, rule: string) {
    const verdicts = await host.explain({
      client: host.peerId,
      runtime: 'docker',
      image: 'any',
      resources: { cpus: 0.5, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
      timeoutMs: 0,
      networkProfile: 'none',
      ...request,
    })
    return verdicts.filter((one) => one.rule === rule)
  }

  it('believes no name that a client has for its image', async () => {
    const host = await engines.openHost({ policy: { images: ['my/*'] } })
    const client = await engines.openClient(host)
    const name = await engines.image('renamed:1', 'renamed')
    const id = await idOf(name)
    const refused = await run(client, name)
    expect(refused.said[0]).toContain(
      `image ${id} (the client calls it ${name}) is not on the list of images`,
    )
    expect(refused.bytesUp).toBe(0)

    // Listed by its digest it may run.
    await host.setPolicy({ policy: { images: ['other:*', id] } })
    const allowed = await run(await engines.openClient(host), name)
    expect(allowed.said).toEqual(['renamed'])
    expect(await verdict(host, { image: id }, 'images')).toMatchObject([
      { allowed: true, detail: `as ${id}` },
    ])

    // So it may under a name that the owner himself gives to that very image, and under no other.
    await host.setPolicy({ policy: { images: ['trusted/*'] } })
    expect((await run(await engines.openClient(host), name)).said[0]).toContain('not on the list')
    await engines.host.docker.getImage(id).tag({ repo: 'trusted/one', tag: '1' })
    expect((await run(await engines.openClient(host), name)).said).toEqual(['renamed'])
    expect(await verdict(host, { image: id }, 'images')).toMatchObject([
      { allowed: true, detail: 'as trusted/*: this host calls it trusted/one:1' },
    ])
    const listed = { image: id, offeredImage: { name: 'trusted/one:1', bytes: 1 } }
    await engines.host.docker.getImage('trusted/one:1').remove()
    expect(await verdict(host, listed, 'images')).toMatchObject([{ allowed: false }])
  })

  it('evicts what runs of an image that he takes from the list', async () => {
    const host = await engines.openHost()
    const client = await engines.openClient(host)
    const name = await engines.image('evicted:1', 'evicted')
    const job = await client.submit<string>({
      ...JOB,
      image: name,
      command: ['/bin/sh', '-c', 'sleep 1000'],
    })
    await until(async () => host.attempts()[0]?.phase === 'running', 'it runs')
    const evicted = Promise.withResolvers<string>()
    host.addEventListener('attempt', (event) => {
      const { phase, reason } = (event as CustomEvent).detail
      if (phase === 'evicted') evicted.resolve(reason)
    })
    await host.setPolicy({ policy: { images: ['none/*'] } })
    expect(await evicted.promise).toContain('policy: images: image sha256:')
    await job.cancel('seen')
  })

  it('takes no image beyond what he gives to images, whatever the client says of its size', async () => {
    const host = await engines.openHost({ policy: { imageCache: '1MiB' } })
    const name = await engines.image('beyond:1', 'beyond')
    const honest = await run(await engines.openClient(host), name)
    expect(honest.said[0]).toMatch(/HOST_REFUSED|imageCache: an image of 1.9 MiB, at most 1.0 MiB/)
    expect(honest.bytesUp).toBe(0)
    const lying = await engines.openClient(host, {
      images: [engines.sourceWith(() => ({ bytes: 1 }))],
    })
    const lied = await run(lying, name)
    expect(lied.said[0]).toContain('imageCache: an image of 1.9 MiB, at most 1.0 MiB are given')
    // The document says it: not a layer came.
    expect(lied.bytesUp).toBeLessThan(16 * 1024)
    expect(await engines.tags()).toEqual([])
    expect(
      await verdict(host, { offeredImage: { name, bytes: 2 * 1024 ** 2 } }, 'imageCache'),
    ).toEqual([
      expect.objectContaining({ allowed: false, temporary: false }),
      expect.objectContaining({ allowed: true, temporary: true }),
    ])
  })

  it('gives no more to images in use together', async () => {
    const host = await engines.openHost({ policy: { imageCache: '3MiB' } })
    const client = await engines.openClient(host)
    const [one, two] = [await engines.image('one:1', 'one'), await engines.image('two:1', 'two')]
    const running = await client.submit<string>({
      ...JOB,
      image: one,
      command: ['/bin/sh', '-c', 'sleep 1000'],
    })
    await until(async () => host.attempts()[0]?.phase === 'running', 'it runs')
    const second = await client.submit<string>({ ...JOB, image: two, hosts: { wait: '20s' } })
    const [, temporary] = await verdict(
      host,
      { image: await idOf(two), offeredImage: { name: two, bytes: 2 * 1024 ** 2 } },
      'imageCache',
    )
    expect(temporary?.detail).toBe(
      'an image of 2.0 MiB, 1.9 MiB of 3.0 MiB are in use by other images',
    )
    await running.cancel('room is needed')
    const [result] = await Array.fromAsync(second.results())
    expect(result?.stdoutTail).toBe('two\n')
    // The first one had to go for it.
    expect(await engines.tags()).toHaveLength(1)
  })

  it('keeps the newest within his bound, over restarts, and nothing of his own is touched', async () => {
    const state = await mkdtemp(join(tmpdir(), 'manyhands-host-'))
    engines.defer(() => rm(state, { recursive: true, force: true }))
    const host = await engines.openHost({ state })
    const client = await engines.openClient(host)
    const names = [
      await engines.image('old:1', 'old'),
      await engines.image('mine:1', 'mine'),
      await engines.image('new:1', 'new'),
    ]
    // Layers of their own, so that each counts.
    for (const name of names) expect((await run(client, name)).phase).toBe('completed')
    const ids = await Promise.all(names.map(idOf))
    await engines.host.docker.getImage(ids[1]!).tag({ repo: 'owner/keeps', tag: '1' })
    await client.close()
    await host.close()
    const again = await engines.openHost({ state })
    const before = await engines.tags()
    expect(before).toHaveLength(4)
    const dryRun = await again.gc({ dryRun: true, keepBytes: 0 })
    expect(dryRun.sections.find(({ room }) => room === 'images')).toMatchObject({
      removed: { artifacts: 2 },
      kept: [],
    })
    expect(await engines.tags()).toHaveLength(4)
    await again.setPolicy({ policy: { imageCache: 2_025_000 } })
    const left = await engines.tags()
    expect(left.some((tag) => tag.includes(ids[2]!.slice(7, 39)))).toBe(true)
    expect(left.some((tag) => tag.includes(ids[0]!.slice(7, 39)))).toBe(false)
    await again.setPolicy({ policy: { imageCache: 1 } })
    expect((await engines.tags()).filter((tag) => !tag.startsWith('manyhands'))).toEqual([
      'owner/keeps:1',
    ])
    expect(await engines.tags()).toHaveLength(2)
  })

  it('finds a task of such an image running after a crash, and the image stays until its end', async () => {
    const state = await mkdtemp(join(tmpdir(), 'manyhands-host-'))
    engines.defer(() => rm(state, { recursive: true, force: true }))
    const name = await engines.image('adopted:1', 'adopted')
    const child = fork(HOST, [state, engines.host.socketPath], {
      execArgv: ['--conditions=@manyhands/source'],
    })
    engines.defer(async () => child.kill('SIGKILL'))
    const [{ addresses }] = (await once(child, 'message')) as [{ addresses: string[] }]
    const client = await engines.openClient({ addresses } as Host)
    const command = ['/bin/sh', '-c', 'sleep 1000']
    const job = await client.submit<string>({ ...JOB, image: name, command })
    for await (const event of job.events()) {
      if (event.kind === 'attempt' && event.phase === 'running') break
    }
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone

    const host = await engines.openHost({ state })
    await until(async () => host.attempts()[0]?.phase === 'running', 'it was adopted')
    expect(host.attempts()).toMatchObject([{ image: await idOf(name), imageName: name }])
    await host.setPolicy({ policy: { imageCache: 1 } })
    expect(await engines.tags()).toHaveLength(1)
    await host.kill(host.attempts()[0]!.id, 'enough')
    await until(async () => {
      await host.setPolicy({ policy: { imageCache: 1 } })
      return (await engines.tags()).length === 0
    }, 'the image is gone')
  })
})
