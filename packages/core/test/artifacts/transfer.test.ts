import { readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ArtifactStore,
  createArtifactStore,
  encodeDocument,
  type FrameStream,
  LIMITS,
  type Manifest,
  ManyhandsError,
  PROTOCOLS,
} from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import {
  chunkCount,
  chunkLength,
  chunkOffset,
  joinChunks,
} from '../../src/artifacts/chunk-layout.ts'
import { ChunkRecord } from '../../src/artifacts/chunk-record.ts'
import { encodeManifest } from '../../src/artifacts/manifest.ts'
import { sha256Now } from '../../src/artifacts/sha256.ts'
import { FRAME, readWant, wantFrame } from '../../src/transfer/transfer-frames.ts'
import { openFrame } from '../../src/transfer/transfer-messages.ts'
import { type MemoryNetwork, memoryNetwork } from './memory-network.ts'
import { bytesOf, codeOf, listFiles, MIB, scratch, writeTree } from './scratch.ts'

async function openStore(dir: string, stallMs?: number): Promise<ArtifactStore> {
  const store = await createArtifactStore({ dir, stallMs })
  onTestFinished(() => store.close())
  return store
}

/** A sender with a served store, and a receiver. */
async function setup() {
  const dir = await scratch()
  const sender = await openStore(join(dir, 'sender'))
  const receiver = await openStore(join(dir, 'receiver'))
  const network = memoryNetwork()
  await sender.serve(network, () => true)
  return { dir, sender, receiver, network, from: { network, peer: 'sender' } }
}

const wantsOf = (network: MemoryNetwork) =>
  network.requests.filter((frame) => frame[0] === FRAME.want).flatMap((frame) => readWant(frame))

const bytesWanted = (network: MemoryNetwork, from = 0) =>
  wantsOf(network)
    .slice(from)
    .reduce((sum, [, , length]) => sum + length, 0)

/** A manifest of one file for which a hostile sender can answer as it likes. */
function manifestOf(content: Uint8Array, change: Partial<Manifest> = {}) {
  const hashes: Uint8Array[] = []
  const lengths: number[] = []
  for (let at = 0; at < content.length; at += LIMITS.chunkMaxBytes) {
    const chunk = content.subarray(at, at + LIMITS.chunkMaxBytes)
    hashes.push(sha256Now(chunk))
    lengths.push(chunk.length)
  }
  const file = { path: '', executable: false, ...joinChunks(content.length, hashes, lengths) }
  return encodeDocument({ v: 2, kind: 'file', files: [file], directories: [], ...change })
}

const rootOf = (encoded: Uint8Array) => `sha256:${Buffer.from(sha256Now(encoded)).toString('hex')}`
const framed = (kind: number, bytes: Uint8Array) => Buffer.concat([Uint8Array.of(kind), bytes])

/** Plays the sender up to the first want. */
async function offer(stream: FrameStream, encoded: Uint8Array): Promise<void> {
  await stream.next()
  await stream.send(framed(FRAME.found, encodeDocument({ bytes: encoded.length })))
  await stream.send(framed(FRAME.manifest, encoded))
  await stream.next()
}

/** What fetching `encoded` from a sender with this behaviour ends in. */
async function fetchFrom(
  encoded: Uint8Array,
  behave: (stream: FrameStream) => Promise<void>,
  stallMs?: number,
): Promise<{ code: string; dir: string }> {
  const dir = await scratch()
  const store = await openStore(dir, stallMs)
  const network = memoryNetwork(behave)
  const code = await codeOf(store.fetch(rootOf(encoded), { network, peer: 'sender' }))
  return { code, dir }
}

test('a tree travels whole, and nothing of it is asked for twice', async () => {
  const { dir, sender, receiver, network, from } = await setup()
  const big = bytesOf(9.5 * MIB)
  const files = {
    'big.bin': big,
    'a/empty': '',
    'a/small': 'small',
    'run.sh': 'run',
    copy: 'small',
  }
  const tree = await writeTree(join(dir, 'tree'), files)
  const { root } = await sender.addPath(tree)
  let progress = 0
  const artifact = await receiver.fetch(root, from, { onProgress: (bytes) => (progress = bytes) })
  expect(artifact.root).toBe(root)
  expect(progress).toBe(big.length + 5 + 3)
  await receiver.place(root, join(dir, 'placed'), 'copy')
  for (const [path, content] of Object.entries(files)) {
    expect((await readFile(join(dir, 'placed', path))).equals(Buffer.from(content))).toBe(true)
  }
  expect((await stat(join(dir, 'placed/run.sh'))).mode & 0o777).toBe(0o755)
  expect(bytesWanted(network)).toBe(big.length + 5 + 3)
  expect(await listFiles(join(dir, 'receiver/part'))).toEqual([])

  await receiver.fetch(root, from)
  // One stream for the manifest, and one for the bulk of a large artifact.
  expect(network.opened).toHaveLength(2)
  // Another artifact with the same large file: only what is new travels.
  await writeFile(join(tree, 'new'), 'new')
  const next = await sender.addPath(tree)
  const before = wantsOf(network).length
  await receiver.fetch(next.root, from)
  expect(wantsOf(network).slice(before)).toHaveLength(1)
})

test('thousands of small files are asked for together', async () => {
  const { dir, sender, receiver, network, from } = await setup()
  const files = Array.from({ length: 1500 }, (_, index) => [`${index % 7}/${index}`, `${index}`])
  const { root } = await sender.addPath(await writeTree(join(dir, 't'), Object.fromEntries(files)))
  await receiver.fetch(root, from)
  expect(network.requests.filter((frame) => frame[0] === FRAME.want).length).toBeLessThan(6)
  expect(Buffer.from(await receiver.read(root, '3/10')).toString()).toBe('10')
})

test('a cut transfer goes on where it stopped, after a restart too', async () => {
  const { dir, sender, network, from } = await setup()
  const content = bytesOf(24 * MIB)
  await writeFile(join(dir, 'big'), content)
  const { root, manifest } = await sender.addPath(join(dir, 'big'))
  const file = manifest.files[0]!
  const first = await openStore(join(dir, 'resuming'))
  const cut = first.fetch(root, from, {
    onProgress: (bytes) => {
      const cut = new ManyhandsError('PEER_GONE', 'cut')
      if (bytes >= 8 * MIB) for (const stream of network.opened) stream.abort(cut)
    },
  })
  expect(await codeOf(cut)).toBe('PEER_GONE')
  await first.close()
  const part = (await listFiles(join(dir, 'resuming/part'))).find((name) => name.endsWith('.part'))!
  // One verified chunk is damaged behind the back: it must be asked for again, and only it.
  const path = join(dir, 'resuming/part', part)
  const have = new ChunkRecord(path.replace('.part', '.have'))
  const recorded = (await have.read(chunkCount(file)))!
  const [bad] = [...recorded] as [number]
  expect(recorded.size).toBeGreaterThanOrEqual(8)
  const damaged = await readFile(path)
  const at = chunkOffset(file, bad)
  damaged[at] = damaged[at]! ^ 1
  await writeFile(path, damaged)

  const second = await openStore(join(dir, 'resuming'))
  const before = wantsOf(network).length
  await second.fetch(root, from)
  const kept = [...recorded].reduce((sum, index) => sum + chunkLength(file, index), 0)
  const again = chunkLength(file, bad)
  expect(bytesWanted(network, before)).toBe(file.size - kept + again)
  expect(Buffer.from(await second.read(root, '')).equals(content)).toBe(true)
})

test('concurrent calls share one transfer, which ends when the last caller leaves', async () => {
  const { dir, sender, receiver, network, from } = await setup()
  await writeFile(join(dir, 'big'), bytesOf(20 * MIB))
  const { root } = await sender.addPath(join(dir, 'big'))
  const one = new AbortController()
  const leaving = receiver.fetch(root, from, {
    signal: one.signal,
    onProgress: () => one.abort(new ManyhandsError('CANCELED', 'one leaves')),
  })
  const [code, staying] = await Promise.all([codeOf(leaving), receiver.fetch(root, from)])
  expect(code).toBe('CANCELED')
  expect(staying.size).toBe(20 * MIB)
  expect(network.opened).toHaveLength(2)

  const other = await openStore(join(dir, 'other'))
  const all = new AbortController()
  const options = { signal: all.signal, onProgress: () => all.abort(new Error('enough')) }
  const ends = await Promise.allSettled([
    other.fetch(root, from, options),
    other.fetch(root, from, { signal: all.signal }),
  ])
  expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await other.get(root)).toBeUndefined()
  await expect(network.opened.at(-1)!.next()).rejects.toThrow('enough')
})

test('two artifacts that share a file are received at once', async () => {
  const { dir, sender, receiver, network, from } = await setup()
  const shared = bytesOf(6 * MIB)
  const a = await sender.addPath(await writeTree(join(dir, 'a'), { shared, a: 'a' }))
  const b = await sender.addPath(await writeTree(join(dir, 'b'), { shared, b: 'b' }))
  await Promise.all([receiver.fetch(a.root, from), receiver.fetch(b.root, from)])
  expect(bytesWanted(network)).toBe(shared.length + 2)
  expect(Buffer.from(await receiver.read(b.root, 'shared')).equals(shared)).toBe(true)
})

test('an artifact beyond maxBytes is refused before any content travels', async () => {
  const { dir, sender, receiver, network, from } = await setup()
  await writeFile(join(dir, 'big'), bytesOf(2 * MIB))
  const { root } = await sender.addPath(join(dir, 'big'))
  expect(await codeOf(receiver.fetch(root, from, { maxBytes: 2 * MIB - 1 }))).toBe('LIMIT')
  expect(wantsOf(network)).toEqual([])
  await receiver.fetch(root, from, { maxBytes: 2 * MIB })
  expect(await codeOf(receiver.fetch(root, from, { maxBytes: 1 }))).toBe('LIMIT')
})

test('who may not have an artifact gets the same answer as for an unknown one', async () => {
  const { dir, sender, receiver } = await setup()
  const { root } = await sender.addBytes(Buffer.from('secret'))
  const unknown = `sha256:${'0'.repeat(64)}`
  const answer = async (name: string) => {
    const network = memoryNetwork()
    await sender.serve(network, (peer, asked) => peer === 'receiver' && asked !== root)
    const error = await receiver.fetch(name, { network, peer: 'sender' }).catch((thrown) => thrown)
    return { ...error.toJSON(), message: error.message.replace(name, 'it') }
  }
  expect(await answer(root)).toEqual(await answer(unknown))
  expect((await answer(root)).code).toBe('ARTIFACT_MISSING')
  expect(await listFiles(join(dir, 'receiver'))).toEqual([])
})

test('an input that changed at its source is told as such', async () => {
  const { dir, sender, receiver, from } = await setup()
  const path = join(dir, 'input')
  await writeFile(path, 'before')
  const { root } = await sender.addPath(path)
  await writeFile(path, 'longer than before')
  expect(await codeOf(receiver.fetch(root, from))).toBe('INPUT_CHANGED')
})

test('a change that leaves size and time is found by the receiver', async () => {
  const { dir, sender, receiver, from } = await setup()
  const path = join(dir, 'input')
  const at = new Date('2026-01-01')
  await writeFile(path, 'before')
  await utimes(path, at, at)
  const { root } = await sender.addPath(path)
  await writeFile(path, 'after!')
  await utimes(path, at, at)
  expect(await codeOf(receiver.fetch(root, from))).toBe('ARTIFACT_CORRUPT')
  expect(await receiver.get(root)).toBeUndefined()
})

test.each([1, 5])('a chunk that does not match its hash never counts (%s MiB)', async (mib) => {
  const content = bytesOf(mib * MIB)
  const encoded = manifestOf(content)
  content[content.length - 1] = content[content.length - 1]! ^ 1
  const { code, dir } = await fetchFrom(encoded, async (stream) => {
    await offer(stream, encoded)
    for (let at = 0; at < content.length; at += MIB / 2) {
      await stream.send(framed(FRAME.data, content.subarray(at, at + MIB / 2)))
    }
    await stream.next()
  })
  expect(code).toBe('ARTIFACT_CORRUPT')
  expect(await listFiles(join(dir, 'cas'))).toEqual([])
})

test('another manifest than the one asked for is refused', async () => {
  const { code } = await fetchFrom(manifestOf(bytesOf(10)), (stream) =>
    offer(stream, manifestOf(bytesOf(10))),
  )
  expect(code).toBe('ARTIFACT_CORRUPT')
})

test('a received manifest with a path outside is refused, and nothing is asked for', async () => {
  const file = { path: '../x', size: 0, executable: false, chunks: new Uint8Array(0) }
  const encoded = manifestOf(bytesOf(1), { kind: 'tree', files: [file] })
  const asked: unknown[] = []
  const { code } = await fetchFrom(encoded, async (stream) => {
    await offer(stream, encoded).catch((error) => asked.push(error))
  })
  expect(code).toBe('PROTOCOL')
  expect(asked).toHaveLength(1)
})

test('a manifest that lies about a size is refused', async () => {
  const content = bytesOf(10)
  const file = { path: '', size: 1e15, executable: false, chunks: sha256Now(content) }
  const encoded = manifestOf(content, { files: [file] })
  expect((await fetchFrom(encoded, (stream) => offer(stream, encoded))).code).toBe('PROTOCOL')
})

test('a manifest beyond the limit is refused when it is announced', async () => {
  const { code } = await fetchFrom(manifestOf(bytesOf(10)), async (stream) => {
    await stream.next()
    const bytes = LIMITS.manifestBytes + 1
    await stream.send(framed(FRAME.found, encodeDocument({ bytes })))
    await stream.next()
  })
  expect(code).toBe('LIMIT')
})

test('a manifest longer than announced is refused', async () => {
  const encoded = manifestOf(bytesOf(10))
  const { code } = await fetchFrom(encoded, async (stream) => {
    await stream.next()
    await stream.send(framed(FRAME.found, encodeDocument({ bytes: encoded.length - 1 })))
    await stream.send(framed(FRAME.manifest, encoded))
    await stream.next()
  })
  expect(code).toBe('PROTOCOL')
})

test('a sender that sends more than was asked for is cut off', async () => {
  const content = bytesOf(1000)
  const encoded = manifestOf(content)
  const { code } = await fetchFrom(encoded, async (stream) => {
    await offer(stream, encoded)
    await stream.send(framed(FRAME.data, Buffer.concat([content, Uint8Array.of(1)])))
    await stream.next()
  })
  expect(code).toBe('PROTOCOL')
})

test('a sender that ends half-way, or sends empty frames, is not waited for', async () => {
  const content = bytesOf(1000)
  const encoded = manifestOf(content)
  const half = await fetchFrom(encoded, async (stream) => {
    await offer(stream, encoded)
    await stream.send(framed(FRAME.data, content.subarray(1)))
    await stream.close()
  })
  expect(half.code).toBe('PEER_GONE')
  const empty = await fetchFrom(encoded, async (stream) => {
    await offer(stream, encoded)
    await stream.send(Uint8Array.of(FRAME.data))
    await stream.next()
  })
  expect(empty.code).toBe('PROTOCOL')
})

test('a sender that stalls is given up, also when it drips', async () => {
  const content = bytesOf(1000)
  const encoded = manifestOf(content)
  const stalled = await fetchFrom(encoded, (stream) => offer(stream, encoded), 50)
  expect(stalled.code).toBe('TIMEOUT')
  let dripped = 0
  const drip = async (stream: FrameStream) => {
    await offer(stream, encoded)
    for (; dripped < content.length; dripped++) {
      await stream.send(framed(FRAME.data, content.subarray(dripped, dripped + 1)))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  expect((await fetchFrom(encoded, drip, 100)).code).toBe('TIMEOUT')
  expect(dripped).toBeGreaterThan(1)
})

test('a receiver that asks for what is not there gets an error, not bytes', async () => {
  const { sender } = await setup()
  const { root } = await sender.addBytes(bytesOf(10))
  for (const range of [
    [1, 0, 1],
    [0, 10, 1],
    [0, 0, 11],
    [0, 2 ** 52, 2 ** 52],
  ] as [number, number, number][]) {
    const network = memoryNetwork()
    await sender.serve(network, () => true)
    const stream = await network.openStream('sender', PROTOCOLS.artifacts)
    await stream.send(openFrame({ v: 2, kind: 'artifact', root }))
    await stream.send(wantFrame([range]))
    const kinds: (number | undefined)[] = []
    for await (const frame of stream) kinds.push(frame[0])
    expect(kinds).toEqual([FRAME.found, FRAME.manifest, FRAME.failed])
  }
})

test('a receiver that reads nothing does not hold the sender for ever', async () => {
  const dir = await scratch()
  await writeFile(join(dir, 'big'), bytesOf(12 * MIB))
  const impatient = await openStore(join(dir, 'impatient'), 50)
  const { root, manifest } = await impatient.addPath(join(dir, 'big'))
  const network = memoryNetwork()
  await impatient.serve(network, () => true)
  const opened = await network.openStream('sender', PROTOCOLS.artifacts)
  await opened.send(openFrame({ v: 2, kind: 'lane', root }))
  await opened.send(wantFrame([[0, 0, manifest.files[0]!.size]]))
  await expect
    .poll(() =>
      opened.send(Uint8Array.of(0)).then(
        () => 'open',
        (error) => error.code,
      ),
    )
    .toBe('PEER_GONE')
})

test('the encoded manifest is bounded', () => {
  const chunks = new Uint8Array(LIMITS.manifestBytes)
  const files = [{ path: '', size: 0, executable: false, chunks }]
  expect(() => encodeManifest({ v: 2, kind: 'file', files, directories: [] })).toThrow('manifest')
})
