import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Client, type ClientOptions, createClient, type JobSummary } from '@manyhands/client'
import type { ImageSource, JobSpec, SourceImage, TaskResult } from '@manyhands/core'
import { docker, dockerImages } from '@manyhands/docker-runtime'
import { createHost, type Host, type HostOptions } from '@manyhands/host'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BUSYBOX_IMAGE, buildImage } from '../../../scripts/docker-images.ts'
import { engineForTests } from './engine-for-tests.ts'
import { canStart, OwnDocker } from './own-engines.ts'

const MIB = 1024 ** 2

describe.skipIf(!canStart('dockerd', 'ip'))('an image of the client’s own engine', () => {
  let clientEngine: OwnDocker
  let hostEngine: OwnDocker
  let open: AsyncDisposableStack

  beforeAll(async () => {
    ;[clientEngine, hostEngine] = await Promise.all([OwnDocker.start(), OwnDocker.start()])
    await hostEngine.docker.getImage(BUSYBOX_IMAGE).remove({ force: true })
    open = new AsyncDisposableStack()
  }, 60_000)

  afterEach(async () => {
    await open.disposeAsync()
    open = new AsyncDisposableStack()
    for (const { Id } of await hostEngine.docker.listImages()) {
      await hostEngine.docker.getImage(Id).remove({ force: true })
    }
  })

  afterAll(async () => {
    await clientEngine?.[Symbol.asyncDispose]()
    await hostEngine?.[Symbol.asyncDispose]()
  })

  async function openHost(over: Partial<HostOptions> = {}): Promise<Host> {
    return open.use(
      await createHost({
        runtimes: [docker({ socketPath: hostEngine.socketPath, reaper: false })],
        share: { cpus: 2, memory: '1GiB', disk: '2GiB' },
        network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
        ...over,
      }),
    )
  }

  async function openClient(host: Host, over: Partial<ClientOptions> = {}): Promise<Client> {
    const client = await createClient({
      images: [dockerImages({ socketPath: clientEngine.socketPath })],
      network: { bootstrap: host.addresses, gossip: false },
      lease: { heartbeat: '200ms' },
      ...over,
    })
    open.use(client)
    await client.waitForHosts()
    return client
  }

  /** Counts what an engine is asked to export. */
  function counted(): { source: ImageSource; exported: string[][] } {
    const inner = dockerImages({ socketPath: clientEngine.socketPath })
    const exported: string[][] = []
    const source: ImageSource = {
      runtime: 'docker',
      async resolve(reference, options) {
        const found = await inner.resolve(reference, options)
        if (found === undefined) return undefined
        const image: SourceImage = Object.create(found, {
          export: {
            value: (...args: Parameters<SourceImage['export']>) => {
              exported.push([...args[0]])
              return found.export(...args)
            },
          },
        })
        return image
      },
    }
    return { source, exported }
  }

  const JOB = {
    command: ['/bin/sh', '-c', 'cat /what'],
    tasks: ['one'],
    resources: { cpus: 0.5, memory: '64MiB', disk: '16MiB', pids: 32 },
    retry: { attempts: 0 },
    timeout: '30s',
    hosts: { wait: '5s' },
  } satisfies Partial<JobSpec<string>>

  async function run(
    client: Client,
    image: string,
    over: Partial<JobSpec<string>> = {},
  ): Promise<JobSummary & { results: TaskResult[]; said: string[] }> {
    const job = await client.submit<string>({ ...JOB, image, ...over })
    const results: TaskResult[] = await Array.fromAsync(job.results())
    const said = results.map(({ ok, stdoutTail, error }) =>
      ok ? stdoutTail.trim() : `${error?.code}: ${error?.message}`,
    )
    return { ...(await job.wait()), results, said }
  }

  /** An image with a base of `size` random bytes and a file that says `what`. */
  async function image(name: string, what: string, from = BUSYBOX_IMAGE): Promise<string> {
    return buildImage(clientEngine.docker, `my/${name}`, [
      `FROM ${from}`,
      `RUN echo ${what} > /what`,
    ])
  }

  const base = (name: string) =>
    buildImage(clientEngine.docker, `my/${name}`, [
      `FROM ${BUSYBOX_IMAGE}`,
      'RUN head -c 3000000 /dev/urandom > /random',
    ])

  const hostImages = async () =>
    (await hostEngine.docker.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []).toSorted()

  it('runs at a host that lacks it, under its own id', async () => {
    const host = await openHost()
    const client = await openClient(host)
    const name = await image('first:1', 'first')
    const { Id } = await clientEngine.docker.getImage(name).inspect()
    const seen: string[] = []
    host.addEventListener('attempt', (event) => {
      const { image, imageName } = (event as CustomEvent).detail
      seen.push(`${imageName} ${image}`)
    })
    const { said, bytesUp } = await run(client, name)
    expect(said).toEqual(['first'])
    expect(new Set(seen)).toEqual(new Set([`my/first:1 ${Id}`]))
    expect(bytesUp).toBeGreaterThan(1.9 * MIB)
    const [tag] = await hostImages()
    expect(tag).toMatch(/^manyhands\.local\/[0-9a-f]{32}:[0-9a-f]{16}$/)
    expect(tag).toContain(Id.slice(7, 39))
    expect((await hostEngine.docker.getImage(tag!).inspect()).Id).toBe(Id)
  })

  it('sends a changed last layer alone', async () => {
    const host = await openHost()
    const client = await openClient(host)
    await base('large:1')
    const first = await run(client, await image('changing:1', 'before', 'my/large:1'))
    const second = await run(client, await image('changing:1', 'after', 'my/large:1'))
    expect([first.said, second.said]).toEqual([['before'], ['after']])
    expect(first.bytesUp).toBeGreaterThan(4.5 * MIB)
    expect(second.bytesUp).toBeLessThan(16 * 1024)
  })

  it('sends a common base once, also to a host whose engine had it before', async () => {
    const { exported, source } = counted()
    const host = await openHost()
    const client = await openClient(host, { images: [source] })
    await base('common:1')
    const names = [await image('a:1', 'a', 'my/common:1'), await image('b:1', 'b', 'my/common:1')]
    // At once, so that neither is there when the other one is asked for.
    const both = await Promise.all(names.map((name) => run(client, name)))
    expect(both.map(({ said }) => said)).toEqual([['a'], ['b']])
    const sent = both.reduce((sum, { bytesUp }) => sum + bytesUp, 0)
    expect(sent).toBeGreaterThan(4.5 * MIB)
    expect(sent).toBeLessThan(6 * MIB)
    expect(exported.map((layers) => layers.length)).toEqual([3, 1])

    await host.close()
    const emptyStore = await openHost()
    const again = await openClient(emptyStore)
    const third = await run(again, await image('c:1', 'c', 'my/common:1'))
    expect(third.said).toEqual(['c'])
    expect(third.bytesUp).toBeLessThan(16 * 1024)
  })

  it('is exported once, when a host asks, and by no process after that', async () => {
    const state = await mkdtemp(join(tmpdir(), 'manyhands-images-'))
    open.defer(() => rm(state, { recursive: true, force: true }))
    const name = await image('exported:1', 'exported')
    for (const layers of [[2], [], []]) {
      const { exported, source } = counted()
      const host = await openHost()
      const client = await openClient(host, { state, images: [source] })
      expect((await run(client, name)).said).toEqual(['exported'])
      expect(exported.map(({ length }) => length)).toEqual(layers)
      await client.close()
      await host.close()
      // The next host has neither the image nor its layers.
      for (const tag of await hostImages()) await hostEngine.docker.getImage(tag).remove()
    }
    const { exported, source } = counted()
    const host = await openHost()
    await run(await openClient(host), name)
    const client = await openClient(host, { images: [source] })
    expect((await run(client, name)).said).toEqual(['exported'])
    expect(exported).toEqual([])
    const kept = await readdir(join(state, 'images'))
    expect(kept.filter((file) => /^[0-9a-f]{64}\.tar$/.test(file))).toHaveLength(2)
    expect(kept.filter((file) => file.startsWith('tmp-'))).toEqual([])
  })

  it('is loaded once for tasks that want it at the same moment', async () => {
    const host = await openHost()
    const client = await openClient(host)
    const { said, bytesUp } = await run(client, await image('many:1', 'many'), {
      tasks: Array.from({ length: 4 }, (_, index) => `${index}`),
    })
    expect(said).toEqual(['many', 'many', 'many', 'many'])
    expect(bytesUp).toBeLessThan(2.5 * MIB)
    expect(await hostImages()).toHaveLength(1)
  })

  it('stays what it was when its tag is moved while the job waits', async () => {
    const host = await openHost()
    const client = await openClient(host)
    const name = await image('moving:1', 'then')
    const release = Promise.withResolvers<void>()
    async function* late() {
      await release.promise
      yield 'one'
    }
    const job = await client.submit<string>({ ...JOB, image: name, tasks: late() })
    await image('moving:1', 'now')
    release.resolve()
    const [result] = await Array.fromAsync(job.results())
    expect(result?.error).toBeUndefined()
    expect(result?.stdoutTail).toBe('then\n')
  })

  it('is not needed for a name that only the host has', async () => {
    const host = await openHost()
    const client = await openClient(host)
    await run(client, await image('loaded:1', 'loaded'))
    const [tag] = await hostImages()
    await hostEngine.docker.getImage(tag!).tag({ repo: 'theirs/named', tag: '1' })
    expect((await run(client, 'theirs/named:1')).said).toEqual(['loaded'])
    const nobody = await run(client, 'nobody/has:1')
    expect(nobody.said[0]).toContain('IMAGE_NOT_FOUND')
  })

  it('is found without further set-up where the engine is in a usual place', async () => {
    if (!(await engineForTests())) return
    const host = await openHost()
    const withNothingSaid = await openClient(host, { images: undefined })
    const withoutEngine = await openClient(host, { images: [] })
    const over = { command: ['/bin/sh', '-c', 'echo found'] }
    const refused = await run(withoutEngine, BUSYBOX_IMAGE, over)
    expect(refused.said[0]).toContain(`${BUSYBOX_IMAGE} is not on this host`)
    expect((await run(withNothingSaid, BUSYBOX_IMAGE, over)).said).toEqual(['found'])
  })
})
