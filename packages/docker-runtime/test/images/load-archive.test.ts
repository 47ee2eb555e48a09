import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { ImageDocument } from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { archiveEntries } from '../../src/images/archive-entries.ts'
import { loadArchive } from '../../src/images/load-archive.ts'
import { configOf, digestOf, record, seal, tar } from './tar-for-tests.ts'

const LOW = tar([{ name: 'low', body: 'l'.repeat(3000) }])
const HIGH = tar([{ name: 'high', body: 'h'.repeat(3_000_000) }])
const TAG = 'manyhands.local/0123:host'

/** An image of these layers, whatever is in them. */
function imageOf(layers: Uint8Array[], sizes = layers.map(({ length }) => length)): ImageDocument {
  const diffIds = layers.map((layer) => digestOf(layer))
  const config = configOf(diffIds)
  const root = digestOf('root')
  return {
    v: 1,
    id: digestOf(config),
    reference: 'my:1',
    config,
    layers: diffIds.map((diffId, index) => ({ diffId, size: sizes[index]!, root })),
  }
}

describe('loadArchive', () => {
  let dir: string

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-load-'))
  })

  afterEach(async () => {
    await rm(dir, { recursive: true, force: true })
  })

  async function filesOf(layers: (Uint8Array | undefined)[]): Promise<Map<number, string>> {
    const files = new Map<number, string>()
    for (const [index, layer] of layers.entries()) {
      if (layer === undefined) continue
      files.set(index, join(dir, `${index}`))
      await writeFile(join(dir, `${index}`), layer)
    }
    return files
  }

  async function read(image: ImageDocument, files: Map<number, string>) {
    const seen: { name: string; body: Buffer }[] = []
    const limits = { what: 'it', entries: 100 }
    for await (const { name, body } of archiveEntries(loadArchive(image, files, TAG), limits)) {
      const pieces: Uint8Array[] = []
      for await (const piece of body) pieces.push(piece.slice())
      seen.push({ name, body: Buffer.concat(pieces) })
    }
    return seen
  }

  /** It fails so, and the engine never sees the manifest without which it loads nothing. */
  async function refused(layer: Uint8Array, why: string, as: Partial<{ size: number }> = {}) {
    const image = imageOf([LOW, layer], [LOW.length, as.size ?? layer.length])
    let sent = Buffer.alloc(0)
    const send = async () => {
      for await (const piece of loadArchive(image, await filesOf([LOW, layer]), TAG)) {
        sent = Buffer.concat([sent, piece])
      }
    }
    await expect(send()).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(`layer ${image.layers[1]!.diffId} ${why}`),
    })
    expect(sent.includes('manifest.json')).toBe(false)
  }

  it('has the layers, the configuration, and the manifest last', async () => {
    const image = imageOf([LOW, HIGH, LOW])
    const seen = await read(image, await filesOf([LOW, HIGH, LOW]))
    const names = image.layers.map(({ diffId }) => `${diffId.slice(7)}/layer.tar`)
    const config = `${image.id.slice(7)}.json`
    // A layer that is there twice is sent once.
    expect(seen.map(({ name }) => name)).toEqual([names[0], names[1], config, 'manifest.json'])
    expect(digestOf(seen[1]!.body)).toBe(image.layers[1]!.diffId)
    expect(digestOf(seen[2]!.body)).toBe(image.id)
    expect(JSON.parse(seen[3]!.body.toString())).toEqual([
      { Config: config, RepoTags: [TAG], Layers: names },
    ])
  })

  it('leaves out what the engine has', async () => {
    const image = imageOf([LOW, HIGH])
    const seen = await read(image, await filesOf([undefined, HIGH]))
    expect(seen.map(({ name }) => name)).toHaveLength(3)
    expect(JSON.parse(seen[2]!.body.toString())[0].Layers).toHaveLength(2)
  })

  it('refuses a layer of other bytes', async () => {
    const image = imageOf([HIGH])
    const other = Buffer.from(HIGH)
    other[2_000_000] = 0x21
    await expect(read(image, await filesOf([other]))).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: `image ${image.id}: layer ${digestOf(HIGH)} is ${digestOf(other)}`,
    })
  })

  it('refuses a layer of another size than the document says', async () => {
    await refused(HIGH, `has ${HIGH.length} bytes, not`, { size: HIGH.length + 1 })
    await refused(HIGH, 'is sha256:', { size: HIGH.length - 512 })
  })

  it('refuses a directory in the place of a layer', async () => {
    const image = imageOf([HIGH])
    await expect(read(image, new Map([[0, dir]]))).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
      message: `image ${image.id}: layer ${digestOf(HIGH)} is no file`,
    })
  })

  it.each<[string, Uint8Array]>([
    ['gzip', gzipSync(HIGH)],
    ['bzip2', Buffer.from('BZh91AY&SY')],
    ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00])],
    ['zstd, a frame to be skipped first', Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 0x00])],
  ])('refuses a layer that an engine would inflate: %s', async (_, layer) => {
    await refused(layer, 'is compressed')
  })

  it('refuses a layer that is both an archive and compressed', async () => {
    const both = tar([{ name: 'a', body: 'x' }])
    both.set([0x1f, 0x8b, 0x08], 0)
    seal(both.subarray(0, 512))
    await refused(both, 'is compressed')
  })

  it.each<[string, Uint8Array, string]>([
    ['is no archive', Buffer.alloc(2048, 'x'), 'has a number that is none'],
    ['is cut', HIGH.subarray(0, 100_000), 'was cut'],
    [
      'has a sparse file of the old kind',
      tar([{ name: 's', type: 'S' }]),
      'has an entry of the kind',
    ],
    [
      'has a sparse file of the new kind',
      tar([
        { name: 'x', type: 'x', body: record('GNU.sparse.realsize', '99999999999') },
        { name: 's' },
      ]),
      'has a sparse file',
    ],
  ])('refuses a layer that %s', async (_, layer, why) => {
    await refused(layer, why)
  })

  it('takes what layers really have: links, devices, names that climb', async () => {
    // An engine unpacks a layer as root in a root of its own; where names lead is its business.
    const layer = tar([
      { name: 'dev/null', type: '3' },
      { name: '../../etc/x', body: 'y' },
      { name: 'l', type: '2', linkName: '/etc/passwd' },
      { name: 'h', type: '1', linkName: 'l', size: 10 },
      { name: 'dir/', type: '5' },
    ])
    await expect(read(imageOf([layer]), await filesOf([layer]))).resolves.toHaveLength(3)
  })
})
