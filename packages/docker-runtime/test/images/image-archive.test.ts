import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ArchiveWish, readImageArchive } from '../../src/images/image-archive.ts'
import { configOf, digestOf, inPieces, type TarMember, tar } from './tar-for-tests.ts'

const LOW = tar([{ name: 'low', body: 'l'.repeat(3000) }])
const HIGH = tar([{ name: 'high', body: 'h'.repeat(2_000_000) }])
const DIFF_IDS = [digestOf(LOW), digestOf(HIGH)]
const CONFIG = configOf(DIFF_IDS)
const ID = digestOf(CONFIG)
const hex = (digest: string) => digest.slice('sha256:'.length)

/** What Docker's engines export, with the layers' files as they are given. */
function classic(layers: TarMember[], over: { config?: Uint8Array; manifest?: unknown } = {}) {
  const { config = CONFIG, manifest } = over
  const name = `${hex(ID)}.json`
  const said = manifest ?? [
    { Config: name, RepoTags: ['my:1'], Layers: ['a/layer.tar', 'b/layer.tar'] },
  ]
  return [
    { name, body: config },
    { name: 'a/', type: '5' },
    { name: 'a/VERSION', body: '1.0' },
    ...layers,
    { name: 'manifest.json', body: JSON.stringify(said) },
    { name: 'repositories', body: '{}' },
  ]
}

const LAYERS: TarMember[] = [
  { name: 'a/layer.tar', body: LOW },
  { name: 'b/layer.tar', body: HIGH },
]

describe('readImageArchive', () => {
  let dir: string

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-archive-'))
  })

  afterEach(async () => {
    await rm(dir, { recursive: true, force: true })
  })

  const read = (members: TarMember[] | Buffer, over: Partial<ArchiveWish> = {}) =>
    readImageArchive(inPieces(Buffer.isBuffer(members) ? members : tar(members), 65_536), {
      reference: 'my:1',
      id: ID,
      diffIds: DIFF_IDS,
      wanted: new Set(DIFF_IDS),
      dir,
      ...over,
    })

  /** It fails so, and no file is left. */
  async function refused(members: TarMember[] | Buffer, why: string, over?: Partial<ArchiveWish>) {
    await expect(read(members, over)).rejects.toThrow(why)
    expect(await readdir(dir)).toEqual([])
  }

  it('takes configuration and layers, whatever they are called', async () => {
    const seen: number[] = []
    const { config, layers } = await read(classic(LAYERS), { onProgress: (n) => seen.push(n) })
    expect(digestOf(config)).toBe(ID)
    for (const [index, bytes] of [LOW, HIGH].entries()) {
      const { path, size } = layers.get(DIFF_IDS[index]!)!
      expect(size).toBe(bytes.length)
      expect(digestOf(await readFile(path))).toBe(DIFF_IDS[index])
    }
    expect(await readdir(dir)).toHaveLength(2)
    expect(seen.reduce((sum, bytes) => sum + bytes, 0)).toBeGreaterThan(2_000_000)
  })

  it('takes only layers that are wanted', async () => {
    const { layers } = await read(classic(LAYERS), { wanted: new Set([DIFF_IDS[1]!]) })
    expect([...layers.keys()]).toEqual([DIFF_IDS[1]])
    expect(await readdir(dir)).toHaveLength(1)
  })

  it('needs no links: what has the digest of a layer is the layer', async () => {
    const linked: TarMember[] = [
      { name: 'z/layer.tar', body: LOW },
      { name: 'a/layer.tar', type: '2', linkName: '../z/layer.tar' },
      { name: 'b/layer.tar', type: '2', linkName: '/etc/shadow' },
      { name: 'c/layer.tar', type: '1', linkName: '../../../etc/shadow' },
      { name: 'y/layer.tar', body: HIGH },
    ]
    const { layers } = await read(classic(linked))
    expect([...layers.keys()].toSorted()).toEqual(DIFF_IDS.toSorted())
  })

  it.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('inflates layers that are compressed with %s, in the layout of OCI', async (_, compress) => {
    const blobs = [LOW, HIGH].map((layer) => {
      const body = compress(layer)
      return { name: `blobs/sha256/${hex(digestOf(body))}`, body }
    })
    const members: TarMember[] = [
      { name: 'blobs/', type: '5' },
      { name: 'blobs/sha256/', type: '5' },
      { name: `blobs/sha256/${hex(ID)}`, body: CONFIG },
      ...blobs,
      { name: 'index.json', body: '{}' },
      { name: 'manifest.json', body: JSON.stringify([{ Config: `blobs/sha256/${hex(ID)}` }]) },
      { name: 'oci-layout', body: '{"imageLayoutVersion":"1.0.0"}' },
    ]
    // Such an engine has a name of its own for the image.
    const { layers } = await read(members, { id: undefined })
    expect(digestOf(await readFile(layers.get(DIFF_IDS[1]!)!.path))).toBe(DIFF_IDS[1])
  })

  it('passes a blob over whose name says that it is here already', async () => {
    const named = (digest: string, body: Uint8Array) => ({
      name: `blobs/sha256/${hex(digest)}`,
      body,
    })
    const members = classic([named(DIFF_IDS[0]!, Buffer.alloc(5000)), named(DIFF_IDS[1]!, HIGH)])
    const { layers } = await read(members, { wanted: new Set([DIFF_IDS[1]!]) })
    expect([...layers.keys()]).toEqual([DIFF_IDS[1]])
  })

  it.each<[string, TarMember[]]>([
    [`lacks the layer ${DIFF_IDS[0]}`, classic(LAYERS.slice(1))],
    [`lacks the layer ${DIFF_IDS[1]}`, classic([LAYERS[0]!, { name: 'b/layer.tar', body: LOW }])],
    ['no manifest.json', classic(LAYERS).filter(({ name }) => name !== 'manifest.json')],
    ['is none of one image', classic(LAYERS, { manifest: [] })],
    ['is none of one image', classic(LAYERS, { manifest: [{ Config: 'a' }, { Config: 'b' }] })],
    ['is none of one image', classic(LAYERS, { manifest: { Config: `${hex(ID)}.json` } })],
    ['is none of one image', classic(LAYERS, { manifest: [{ Config: 7 }] })],
    ['no configuration', classic(LAYERS, { manifest: [{ Config: '../../etc/passwd' }] })],
    ['that of another image', classic(LAYERS, { config: configOf(DIFF_IDS.toReversed()) })],
    ['configuration of', classic(LAYERS, { config: configOf(DIFF_IDS, { config: {} }) })],
    ['configuration is none', classic(LAYERS, { config: Buffer.from('{"rootfs":{}}') })],
    ['configuration is no JSON', classic(LAYERS, { config: Buffer.from([0xff, 0xfe]) })],
    ['an entry "../up"', [{ name: '../up', body: 'x' }, ...classic(LAYERS)]],
    ['an entry "/etc/passwd"', [{ name: '/etc/passwd', body: 'x' }, ...classic(LAYERS)]],
    ['an entry "a//b"', [{ name: 'a//b', body: 'x' }, ...classic(LAYERS)]],
    ['has a device', [{ name: 'sda', type: '4' }, ...classic(LAYERS)]],
    ['has a fifo', [{ name: 'pipe', type: '6' }, ...classic(LAYERS)]],
    ['goes on after', classic(LAYERS, {})],
  ])('refuses an archive that %s', async (why, members) => {
    const archive = tar(members)
    await refused(
      why === 'goes on after' ? Buffer.concat([Buffer.alloc(512), archive]) : archive,
      why,
    )
  })

  it('refuses a layer that says a size beyond all layers before it writes a byte', async () => {
    const members = classic([{ name: 'a/layer.tar', body: LOW, size: 65 * 1024 ** 3 }, LAYERS[1]!])
    await refused(members, 'a layer of')
  })

  it('ends a layer that grows beyond all measure', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(200 * 1024 ** 2))
    expect(bomb.length).toBeLessThan(64 * 1024)
    await refused(classic([{ name: 'a', body: bomb }, ...LAYERS]), 'grows from')
  })

  it('tells a layer that is not what it was compressed as', async () => {
    const broken = Buffer.from(gzipSync(HIGH))
    broken.fill(0x55, 200, 300)
    await refused(
      classic([LAYERS[0]!, { name: 'b', body: broken }]),
      'not what it was compressed as',
    )
    const cut = gzipSync(HIGH).subarray(0, 900)
    await refused(classic([LAYERS[0]!, { name: 'b', body: cut }]), 'not what it was compressed as')
  })

  it('keeps only so many small files in memory', async () => {
    const small = Array.from({ length: 20 }, (_, n) => ({
      name: `f${n}`,
      body: Buffer.alloc(1024 ** 2),
    }))
    await refused([...small, ...classic(LAYERS)], 'too many small files')
  })

  it('leaves nothing when the archive is cut, wherever', async () => {
    const archive = tar(classic(LAYERS))
    const property = fc.asyncProperty(fc.nat(archive.length - 1100), async (length) => {
      await expect(read(archive.subarray(0, length))).rejects.toMatchObject({
        code: 'IMAGE_INVALID',
      })
      expect(await readdir(dir)).toEqual([])
    })
    await fc.assert(property, { numRuns: 40 })
  })

  it('leaves nothing when nobody wants it any more', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    await expect(
      read(classic(LAYERS), {
        signal: controller.signal,
        onProgress: (bytes) => {
          if (bytes > 10_000) controller.abort(reason)
        },
      }),
    ).rejects.toBe(reason)
    expect(await readdir(dir)).toEqual([])
  })

  it('gives layers only for what they are, whatever bytes an archive has', async () => {
    const archive = tar(classic(LAYERS))
    const change = fc.tuple(fc.nat(archive.length - 1), fc.nat(255))
    const property = fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 5 }),
      async (changes) => {
        const bytes = Buffer.from(archive)
        for (const [at, value] of changes) bytes[at] = value
        const outcome = await read(bytes).catch((error: unknown) => error)
        if (outcome instanceof Error) {
          expect(outcome).toMatchObject({ code: 'IMAGE_INVALID' })
          expect(await readdir(dir)).toEqual([])
          return
        }
        const { config, layers } = outcome as Awaited<ReturnType<typeof read>>
        expect(digestOf(config)).toBe(ID)
        for (const [diffId, { path }] of layers) {
          expect(digestOf(await readFile(path))).toBe(diffId)
          await rm(path)
        }
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })
})
