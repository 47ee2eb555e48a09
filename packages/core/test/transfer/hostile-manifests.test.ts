import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeDocument, LIMITS, type Manifest, type ManifestFile } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { encodeManifest } from '../../src/artifacts/manifest.ts'
import { writeManifest } from '../../src/artifacts/manifest-format.ts'
import { sha256Now } from '../../src/artifacts/sha256.ts'
import { atOnce } from '../../src/artifacts/turns.ts'
import { codeOf, listFiles, scratch } from '../artifacts/scratch.ts'
import { hostileOrigin } from './hostile-peer.ts'
import { leftovers, type TestPeer, testPeer } from './peers.ts'

const CONTENT = Buffer.from('content')
const PIECE = 256 * 1024

function file(path: string, more: Partial<ManifestFile> = {}): ManifestFile {
  const chunks = new Uint8Array(sha256Now(CONTENT))
  return { path, size: CONTENT.length, executable: false, chunks, ...more }
}

function tree(files: ManifestFile[], directories: string[] = []): Manifest {
  return { v: 2, kind: 'tree', files, directories }
}

/** Fetches what somebody gives who says that the artifact is this. */
async function fetched(manifest: Uint8Array, maxBytes?: number) {
  const origin = await hostileOrigin(CONTENT, { manifest, pieceBytes: PIECE })
  const receiver = await testPeer({ stallMs: 2000 })
  const { network } = receiver
  const peer = await network.connect(origin.network.addresses[0]!)
  const code = await codeOf(receiver.store.fetch(origin.root, { network, peer }, { maxBytes }))
  return { code, receiver, root: origin.root }
}

/** Nothing of it is there. */
async function nothingLeft({ dir }: TestPeer): Promise<void> {
  expect(await readdir(join(dir, 'manifests'))).toEqual([])
  expect(await listFiles(join(dir, 'cas'))).toEqual([])
}

/** Paths that no artifact may have, whoever names it. */
const HOSTILE_PATHS = [
  '../x',
  'a/../../x',
  '/etc/passwd',
  '..',
  '.',
  './a',
  'a/.',
  'a//b',
  'a/',
  '/',
  '',
  'a\0b',
  'a\nb',
  'a\u007fb',
  'a\\b',
  '..\\x',
  'e\u0301',
  'a\ufffd',
  'n'.repeat(LIMITS.nameBytes + 1),
  `${'a/'.repeat(LIMITS.pathBytes / 2)}a`,
]

describe('a manifest of a peer', () => {
  it.each(HOSTILE_PATHS)('that names the file %j is refused, and nothing is made', async (path) => {
    const { code, receiver } = await fetched(encodeDocument(tree([file(path)])))
    expect(code).toBe('PROTOCOL')
    await nothingLeft(receiver)
    expect(await leftovers(receiver)).toEqual([])
  })

  it.each(HOSTILE_PATHS)('that names the directory %j is refused', async (path) => {
    const { code, receiver } = await fetched(encodeDocument(tree([], [path])))
    expect(code).toBe('PROTOCOL')
    await nothingLeft(receiver)
  })

  it.each<[string, ManifestFile[]]>([
    ['differ in case', [file('A'), file('a')]],
    ['are a file and its directory', [file('a'), file('a/b')]],
    ['are the same', [file('a'), file('a')]],
    ['are out of order', [file('b'), file('a')]],
  ])('with names that %s is refused', async (_what, files) => {
    const { code, receiver } = await fetched(encodeDocument(tree(files)))
    expect(code).toBe('PROTOCOL')
    await nothingLeft(receiver)
  })

  it.each<[string, ManifestFile, string]>([
    [
      'one byte more',
      file('a', { size: CONTENT.length + 1 }),
      'ARTIFACT_CORRUPT|TIMEOUT|PEER_GONE',
    ],
    ['one byte less', file('a', { size: CONTENT.length - 1 }), 'ARTIFACT_CORRUPT'],
    ['none', file('a', { size: 0 }), 'PROTOCOL'],
    ['more than a chunk', file('a', { size: LIMITS.chunkMaxBytes + 1 }), 'PROTOCOL'],
    ['all that can be counted', file('a', { size: Number.MAX_SAFE_INTEGER }), 'PROTOCOL'],
  ])('that lies about a size (%s) ends in one error', async (_what, lying, codes) => {
    const { code, receiver } = await fetched(encodeDocument(tree([lying])))
    expect(code).toMatch(new RegExp(`^(${codes})$`))
    await nothingLeft(receiver)
  })

  it('that is larger than may come is refused before any content is asked for', async () => {
    const { code, receiver } = await fetched(encodeDocument(tree([file('a')])), 6)
    expect(code).toBe('LIMIT')
    await nothingLeft(receiver)
  })

  it('of more bytes than it announced, or fewer, is refused', async () => {
    const manifest = encodeManifest(tree([file('a')])).bytes
    for (const bytes of [manifest.length - 1, manifest.length + 1, LIMITS.manifestBytes + 1]) {
      const origin = await hostileOrigin(CONTENT, { manifest, found: { bytes } })
      const receiver = await testPeer({ stallMs: 1000 })
      const { network } = receiver
      const peer = await network.connect(origin.network.addresses[0]!)
      const code = await codeOf(receiver.store.fetch(origin.root, { network, peer }))
      expect(code).toMatch(/^(PROTOCOL|LIMIT|TIMEOUT)$/)
      await nothingLeft(receiver)
    }
  })
})

describe('an artifact of a million entries', () => {
  const HALF = LIMITS.entriesPerArtifact / 2
  const name = (index: number) => `${`${Math.floor(index / 1000)}`.padStart(3, '0')}/${index}`

  /** So many files, of one content, and as many directories. */
  function million(files = HALF): Uint8Array {
    const paths = Array.from({ length: files }, (_, index) => `f/${name(index)}`).sort()
    const directories = Array.from({ length: HALF }, (_, index) => `d/${name(index)}`).sort()
    const shared = file('').chunks
    return atOnce(
      writeManifest(
        tree(
          paths.map((path) => file(path, { chunks: shared })),
          directories,
        ),
      ),
    )
  }

  it('comes whole, while what else there is to do has its turns', async () => {
    let turns = 0
    const origin = await hostileOrigin(CONTENT, {
      manifest: million(),
      pieceBytes: PIECE,
      // What comes before is not the work that is meant.
      news: async () => {
        turns = 0
      },
    })
    const receiver = await testPeer()
    const { network } = receiver
    const peer = await network.connect(origin.network.addresses[0]!)
    const counting = setInterval(() => {
      turns += 1
    }, 1)
    const artifact = await receiver.store.fetch(origin.root, { network, peer })
    clearInterval(counting)
    expect(turns).toBeGreaterThan(90)
    expect(artifact.manifest.files.length + artifact.manifest.directories.length).toBe(2 * HALF)
    expect(artifact.size).toBe(HALF * CONTENT.length)
    const bytes = await receiver.store.read(origin.root, `f/${name(HALF - 1)}`)
    expect(Buffer.compare(bytes, CONTENT)).toBe(0)
  }, 60_000)

  it('and one more is refused', async () => {
    const { code, receiver } = await fetched(million(HALF + 1))
    expect(code).toBe('LIMIT')
    await nothingLeft(receiver)
  }, 60_000)

  it('is taken from the disk of the store again', async () => {
    const dir = await scratch()
    const first = await testPeer({ dir: join(dir, 'store') })
    const origin = await hostileOrigin(CONTENT, { manifest: million(), pieceBytes: PIECE })
    const peer = await first.network.connect(origin.network.addresses[0]!)
    await first.store.fetch(origin.root, { network: first.network, peer })
    await first.store.close()
    const second = await testPeer({ dir: join(dir, 'store') })
    expect(second.store.has(origin.root)).toBe(true)
    expect((await second.store.get(origin.root))!.manifest.directories.length).toBe(HALF)
  }, 60_000)
})
