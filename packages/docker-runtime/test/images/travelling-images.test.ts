import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@manyhands/client'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BUSYBOX_IMAGE } from '../../../../scripts/docker-images.ts'
import { engineForTests } from '../engine-for-tests.ts'
import { canStart } from '../own-engines.ts'
import { JOB, run, TwoEngines } from './two-engines.ts'

const MIB = 1024 ** 2
/** More than documents and manifests of a few layers take. */
const LITTLE = 16 * 1024

describe.skipIf(!canStart('dockerd', 'ip'))('an image of the client’s own engine', () => {
  let engines: TwoEngines

  beforeAll(async () => {
    engines = await TwoEngines.start()
  }, 60_000)

  afterEach(() => engines.clear())
  afterAll(() => engines?.[Symbol.asyncDispose](), 60_000)

  async function imageEvents(client: Client, id: string) {
    const events = await Array.fromAsync((await client.job(id)).events())
    return events.filter(({ kind }) => kind === 'image')
  }

  it('runs at a host that lacks it, under its own id', async () => {
    const host = await engines.openHost()
    const client = await engines.openClient(host)
    const name = await engines.image('first:1', 'first')
    const { Id } = await engines.client.docker.getImage(name).inspect()
    const seen = new Set<string>()
    host.addEventListener('attempt', (event) => {
      const { image, imageName } = (event as CustomEvent).detail
      seen.add(`${imageName} ${image}`)
    })
    const { said, bytesUp } = await run(client, name)
    expect(said).toEqual(['first'])
    expect(seen).toEqual(new Set([`my/first:1 ${Id}`]))
    expect(bytesUp).toBeGreaterThan(1.9 * MIB)
    const [tag = ''] = await engines.tags()
    expect(tag).toMatch(/^manyhands\.local\/[0-9a-f]{32}:[0-9a-f]{16}$/)
    expect(tag).toContain(Id.slice(7, 39))
    expect((await engines.host.docker.getImage(tag).inspect()).Id).toBe(Id)
  })

  it('sends a changed last layer alone', async () => {
    const host = await engines.openHost()
    const client = await engines.openClient(host)
    await engines.base('large:1')
    const first = await run(client, await engines.image('changing:1', 'before', 'my/large:1'))
    const second = await run(client, await engines.image('changing:1', 'after', 'my/large:1'))
    expect([first.said, second.said]).toEqual([['before'], ['after']])
    expect(first.bytesUp).toBeGreaterThan(4.5 * MIB)
    expect(second.bytesUp).toBeLessThan(LITTLE)
  })

  it('sends a common base once, and not at all to an engine that has it', async () => {
    const { exported, source } = engines.counted()
    const host = await engines.openHost()
    const client = await engines.openClient(host, { images: [source] })
    await engines.base('common:1')
    const names = [
      await engines.image('a:1', 'a', 'my/common:1'),
      await engines.image('b:1', 'b', 'my/common:1'),
    ]
    // At once, so that neither is there when the other one is asked for.
    const both = await Promise.all(names.map((name) => run(client, name)))
    expect(both.map(({ said }) => said)).toEqual([['a'], ['b']])
    const sent = both.reduce((sum, { bytesUp }) => sum + bytesUp, 0)
    expect(sent).toBeGreaterThan(4.5 * MIB)
    expect(sent).toBeLessThan(6 * MIB)
    expect(exported).toEqual([3, 1])

    await host.close()
    const withEmptyStore = await engines.openHost()
    const again = await engines.openClient(withEmptyStore)
    const third = await run(again, await engines.image('c:1', 'c', 'my/common:1'))
    expect(third.said).toEqual(['c'])
    expect(third.bytesUp).toBeLessThan(LITTLE)
  })

  it('is exported when a host asks, once, also over processes', async () => {
    const state = await mkdtemp(join(tmpdir(), 'manyhands-images-'))
    engines.defer(() => rm(state, { recursive: true, force: true }))
    const name = await engines.image('exported:1', 'exported')
    for (const layers of [[2], [], []]) {
      const { exported, source } = engines.counted()
      const host = await engines.openHost()
      const client = await engines.openClient(host, { state, images: [source] })
      const { said, id } = await run(client, name)
      expect(said).toEqual(['exported'])
      expect(exported).toEqual(layers)
      expect(await imageEvents(client, id)).toMatchObject([
        { phase: 'exporting', bytes: 0 },
        { phase: 'ready', bytes: layers.length === 0 ? 0 : expect.any(Number) },
      ])
      await client.close()
      await host.close()
      // The next host has neither the image nor its layers.
      await engines.emptyHost()
    }
    const kept = await readdir(join(state, 'images'))
    expect(kept.filter((file) => /^[0-9a-f]{64}\.tar$/.test(file))).toHaveLength(2)
    expect(kept.filter((file) => file.startsWith('tmp-'))).toEqual([])

    const host = await engines.openHost()
    await run(await engines.openClient(host), name)
    const { exported, source } = engines.counted()
    const client = await engines.openClient(host, { images: [source] })
    expect((await run(client, name)).said).toEqual(['exported'])
    expect(exported).toEqual([])
  })

  it('is loaded once for tasks that want it at the same moment', async () => {
    const host = await engines.openHost()
    const client = await engines.openClient(host)
    const { said, bytesUp } = await run(client, await engines.image('many:1', 'many'), {
      tasks: ['1', '2', '3', '4'],
    })
    expect(said).toEqual(['many', 'many', 'many', 'many'])
    expect(bytesUp).toBeLessThan(2.5 * MIB)
    expect(await engines.tags()).toHaveLength(1)
  })

  it('stays what it was when its tag is moved while the job waits', async () => {
    const host = await engines.openHost()
    const client = await engines.openClient(host)
    const name = await engines.image('moving:1', 'then')
    const release = Promise.withResolvers<void>()
    async function* late() {
      await release.promise
      yield 'one'
    }
    const job = await client.submit<string>({ ...JOB, image: name, tasks: late() })
    await engines.image('moving:1', 'now')
    release.resolve()
    const [result] = await Array.fromAsync(job.results())
    expect(result?.error).toBeUndefined()
    expect(result?.stdoutTail).toBe('then\n')
  })

  it('is not needed for a name that only the host has', async () => {
    const host = await engines.openHost()
    const client = await engines.openClient(host)
    await run(client, await engines.image('loaded:1', 'loaded'))
    const [tag = ''] = await engines.tags()
    await engines.host.docker.getImage(tag).tag({ repo: 'theirs/named', tag: '1' })
    expect((await run(client, 'theirs/named:1')).said).toEqual(['loaded'])
    expect((await run(client, 'nobody/has:1')).said[0]).toContain('IMAGE_NOT_FOUND')
  })

  it('is found without further set-up where the engine is in a usual place', async () => {
    if (!(await engineForTests())) return
    const host = await engines.openHost()
    const withNothingSaid = await engines.openClient(host, { images: undefined })
    const withoutEngine = await engines.openClient(host, { images: [] })
    const over = { command: ['/bin/sh', '-c', 'echo found'] }
    const refused = await run(withoutEngine, BUSYBOX_IMAGE, over)
    expect(refused.said[0]).toContain(`${BUSYBOX_IMAGE} is not on this host`)
    expect((await run(withNothingSaid, BUSYBOX_IMAGE, over)).said).toEqual(['found'])
  })
})
