import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SourceImage } from '@manyhands/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { canStart } from '../own-engines.ts'
import { JOB, run, TwoEngines } from './two-engines.ts'

describe.skipIf(!canStart('dockerd', 'ip'))('when an image cannot travel', () => {
  let engines: TwoEngines

  beforeAll(async () => {
    engines = await TwoEngines.start()
  }, 60_000)

  afterEach(() => engines.clear())
  afterAll(() => engines?.[Symbol.asyncDispose](), 60_000)

  async function stateDir(): Promise<string> {
    const state = await mkdtemp(join(tmpdir(), 'manyhands-images-'))
    engines.defer(() => rm(state, { recursive: true, force: true }))
    return state
  }

  const shelved = async (state: string) =>
    (await readdir(join(state, 'images'))).filter((name) => name !== 'images.json')

  it('a layer with other bytes is named, and nothing is loaded', async () => {
    let bent = ''
    const source = engines.sourceWith((image) => ({
      async export(...of: Parameters<SourceImage['export']>) {
        const exported = await image.export(...of)
        const [diffId, { path }] = [...exported.layers].at(-1)!
        const bytes = await readFile(path)
        bytes[bytes.length - 1500] = 0x21
        await writeFile(path, bytes)
        bent = diffId
        return exported
      },
    }))
    const host = await engines.openHost()
    const client = await engines.openClient(host, { images: [source] })
    const { said } = await run(client, await engines.image('bent:1', 'bent'))
    expect(said[0]).toMatch(/^IMAGE_INVALID: image sha256:[0-9a-f]{64}: layer sha256:/)
    expect(said[0]).toContain(`layer ${bent} `)
    expect(await engines.tags()).toEqual([])
  })

  it('a configuration that is another image’s is told by the client itself', async () => {
    const source = engines.sourceWith((image) => ({
      async export(...of: Parameters<SourceImage['export']>) {
        const exported = await image.export(...of)
        return { ...exported, config: Buffer.concat([exported.config, Buffer.from('\n')]) }
      },
    }))
    const host = await engines.openHost()
    const client = await engines.openClient(host, { images: [source] })
    const { said, bytesUp } = await run(client, await engines.image('other:1', 'other'))
    expect(said[0]).toMatch(/^INPUT_UNREADABLE: image my\/other:1 cannot be exported: /)
    expect(said[0]).toContain('its configuration is that of sha256:')
    expect(bytesUp).toBe(0)
  })

  it('an export that is cut leaves nothing, and the next one is whole', async () => {
    const state = await stateDir()
    await engines.base('cut-base:1', 60_000_000)
    const name = await engines.image('cut:1', 'whole', 'my/cut-base:1')
    let killed: Promise<void> | undefined
    const source = engines.sourceWith((image) => ({
      export(wanted, dir, options = {}) {
        const onProgress = () => {
          killed ??= engines.client.end('SIGKILL')
        }
        return image.export(wanted, dir, { ...options, onProgress })
      },
    }))
    const host = await engines.openHost()
    const dying = await engines.openClient(host, { state, images: [source] })
    const { said } = await run(dying, name)
    expect(said[0]).toMatch(/^INPUT_UNREADABLE: image my\/cut:1 cannot be exported: /)
    expect(await shelved(state)).toEqual([])
    await dying.close()
    await killed
    await engines.client.start()
    const client = await engines.openClient(host, { state })
    expect((await run(client, name)).said).toEqual(['whole'])
    expect(await shelved(state)).toHaveLength(4)
  })

  it('an export that nobody waits for any more ends', async () => {
    const state = await stateDir()
    await engines.base('unwanted-base:1', 60_000_000)
    const name = await engines.image('unwanted:1', 'unwanted', 'my/unwanted-base:1')
    const ended = Promise.withResolvers<unknown>()
    const began = Promise.withResolvers<void>()
    const source = engines.sourceWith((image) => ({
      export(wanted, dir, options = {}) {
        const onProgress = () => began.resolve()
        const exporting = image.export(wanted, dir, { ...options, onProgress })
        exporting.then(ended.resolve, ended.resolve)
        return exporting
      },
    }))
    const host = await engines.openHost()
    const client = await engines.openClient(host, { state, images: [source] })
    const job = await client.submit<string>({ ...JOB, image: name })
    await began.promise
    engines.client.signal('SIGSTOP')
    try {
      await job.cancel('not any more')
      expect(await ended.promise).toMatchObject({ code: 'CANCELED' })
    } finally {
      engines.client.signal('SIGCONT')
    }
    expect(await shelved(state)).toEqual([])
  })

  it('an image that the client’s engine has lost meanwhile is told', async () => {
    const name = await engines.image('lost:1', 'lost')
    const host = await engines.openHost()
    const client = await engines.openClient(host)
    const release = Promise.withResolvers<void>()
    async function* late() {
      await release.promise
      yield 'one'
    }
    const job = await client.submit<string>({ ...JOB, image: name, tasks: late() })
    await engines.client.docker.getImage(name).remove({ force: true })
    release.resolve()
    const [result] = await Array.fromAsync(job.results())
    expect(result?.error).toMatchObject({
      code: 'INPUT_UNREADABLE',
      message: 'image my/lost:1 cannot be exported: my/lost:1 is no longer in …',
    })
  })

  it('an image for another platform goes to no engine', async () => {
    const host = await engines.openHost()
    const client = await engines.openClient(host, {
      images: [
        engines.sourceWith((image) => ({
          // Another configuration is another image.
          id: undefined,
          key: 'sha256:strange',
          async export(...of: Parameters<SourceImage['export']>) {
            const exported = await image.export(...of)
            const text = Buffer.from(exported.config).toString()
            return { ...exported, config: Buffer.from(text.replace('"amd64"', '"s390x"')) }
          },
        })),
      ],
    })
    const { said, bytesUp } = await run(client, await engines.image('s390x:1', 'strange'))
    expect(said[0]).toContain('is for linux/s390x, the engine is linux/amd64')
    expect(bytesUp).toBeLessThan(16 * 1024)
  })
})
