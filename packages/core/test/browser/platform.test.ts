import * as nodeCrypto from 'node:crypto'
import * as nodeNet from 'node:net'
import * as nodeUtil from 'node:util'
import * as nodeZlib from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Buffer as BrowserBuffer } from '../../src/browser/globals.ts'
import * as crypto from '../../src/browser/node-crypto.ts'
import * as net from '../../src/browser/node-net.ts'
import * as timers from '../../src/browser/node-timers-promises.ts'
import * as util from '../../src/browser/node-util.ts'
import { MessageChannel } from '../../src/browser/node-worker-threads.ts'
import * as zlib from '../../src/browser/node-zlib.ts'

const bytes = fc.uint8Array({ maxLength: 5000 })
const plain = (buffer: Uint8Array) => [...buffer]

test('hashes and derived keys are those of Node', () => {
  fc.assert(
    fc.property(bytes, bytes, (data, key) => {
      expect(crypto.hash('sha256', data, 'hex')).toBe(nodeCrypto.hash('sha256', data, 'hex'))
      const parts = [crypto.createHash('sha256'), nodeCrypto.createHash('sha256')] as const
      expect(parts[0].update(data).update('é').digest('hex')).toBe(
        parts[1].update(data).update('é').digest('hex'),
      )
      const [ours, theirs] = [crypto.hkdfSync, nodeCrypto.hkdfSync].map((derive) =>
        plain(new Uint8Array(derive('sha256', key, data.subarray(0, 64), 'info', 48))),
      )
      expect(ours).toEqual(theirs)
    }),
  )
})

const SPKI = { type: 'spki', format: 'der' } as const
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

test('keys and signatures are those of Node, and wrong ones are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), bytes, (seed, data) => {
      const encoded = {
        key: Buffer.concat([PKCS8, seed]),
        format: 'der',
        type: 'pkcs8',
      } as const
      const [ours, theirs] = [
        crypto.createPrivateKey(encoded),
        nodeCrypto.createPrivateKey(encoded),
      ]
      const spki = nodeCrypto.createPublicKey(theirs).export(SPKI)
      expect(plain(crypto.createPublicKey(ours).export(SPKI))).toEqual(plain(spki))
      const signature = crypto.sign(null, data, ours)
      expect(plain(signature)).toEqual(plain(nodeCrypto.sign(null, data, theirs)))
      const known = crypto.createPublicKey({ key: spki, ...SPKI })
      expect(crypto.verify(null, data, known, signature)).toBe(true)
      signature[3]! ^= 1
      expect(crypto.verify(null, data, known, signature)).toBe(false)
      expect(crypto.verify(null, data, known, signature.subarray(1))).toBe(false)
    }),
    { numRuns: 20 },
  )
  expect(() => crypto.createPublicKey({ key: new Uint8Array(44), ...SPKI })).toThrow('no Ed25519')
})

test('numbers are drawn from all of a range, and nothing else', () => {
  const drawn = new Set(Array.from({ length: 500 }, () => crypto.randomInt(3, 8)))
  expect([...drawn].sort()).toEqual([3, 4, 5, 6, 7])
  expect(
    crypto
      .randomBytes(200_000)
      .subarray(-32)
      .some((byte) => byte !== 0),
  ).toBe(true)
})

test('buffers read and write every text form that Node does, and compare with plain bytes', () => {
  fc.assert(
    fc.property(bytes, fc.string({ unit: 'binary' }), (data, text) => {
      for (const encoding of ['hex', 'base64', 'base64url', 'latin1'] as const) {
        const written = BrowserBuffer.from(data).toString(encoding)
        expect(written).toBe(Buffer.from(data).toString(encoding))
        expect(plain(BrowserBuffer.from(written, encoding))).toEqual(plain(data))
      }
      expect(plain(BrowserBuffer.from(text))).toEqual(plain(Buffer.from(text)))
      expect(BrowserBuffer.byteLength(text)).toBe(Buffer.byteLength(text))
      expect(BrowserBuffer.from(data).equals(data)).toBe(true)
    }),
  )
})

test('what one side packs the other one unpacks, within the bound', () => {
  fc.assert(
    fc.property(bytes, (data) => {
      expect(plain(zlib.inflateRawSync(nodeZlib.deflateRawSync(data)))).toEqual(plain(data))
      expect(plain(nodeZlib.inflateRawSync(zlib.deflateRawSync(data)))).toEqual(plain(data))
      expect(plain(zlib.inflateSync(nodeZlib.deflateSync(data)))).toEqual(plain(data))
    }),
  )
  const bomb = nodeZlib.deflateRawSync(Buffer.alloc(32 * 1024 * 1024))
  expect(() => zlib.inflateRawSync(bomb, { maxOutputLength: 1024 })).toThrow(
    expect.objectContaining({ code: 'ERR_BUFFER_TOO_LARGE' }),
  )
  expect(() => zlib.inflateRawSync(bomb.subarray(0, 100))).toThrow()
})

test('addresses are told apart as Node does', () => {
  const texts = ['1.2.3.4', '01.2.3.4', '1.2.3', '1.2.3.256', '::', '::1', 'fe80::1%eth0', 'a']
  for (const text of [...texts, '::ffff:1.2.3.4', '1::2::3', '', '2001:db8::/32']) {
    expect([text, net.isIP(text)]).toEqual([text, nodeNet.isIP(text)])
  }
  const [ours, theirs] = [new net.BlockList(), new nodeNet.BlockList()]
  for (const list of [ours, theirs]) {
    list.addSubnet('10.0.0.0', 8, 'ipv4')
    list.addSubnet('fc00::', 7, 'ipv6')
  }
  for (const [text, family] of [
    ['10.9.8.7', 'ipv4'],
    ['11.0.0.1', 'ipv4'],
    ['fd00::1', 'ipv6'],
    ['fe80::1', 'ipv6'],
    ['::ffff:10.0.0.1', 'ipv6'],
  ] as const) {
    expect([text, ours.check(text, family)]).toEqual([text, theirs.check(text, family)])
  }
})

test('documents are equal as Node says', () => {
  const document = fc.anything({ withTypedArray: false, withDate: false, withNullPrototype: false })
  fc.assert(
    fc.property(document, document, (one, other) => {
      expect(util.isDeepStrictEqual(one, other)).toBe(nodeUtil.isDeepStrictEqual(one, other))
      expect(util.isDeepStrictEqual(one, structuredClone(one))).toBe(true)
    }),
  )
})

test('a port tells what came early, in order, and its end last', async () => {
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(1)
  port1.postMessage(2)
  await Promise.resolve()
  const heard: unknown[] = []
  const closed = new Promise<void>((resolve) => {
    port2.on('close', () => resolve())
  })
  port2.on('message', (message) => heard.push(message))
  port1.postMessage(3)
  port1.close()
  port1.postMessage(4)
  await closed
  expect(heard).toEqual([1, 2, 3])
})

test('a pause ends with its signal', async () => {
  const abort = new AbortController()
  const pause = timers.setTimeout(60_000, undefined, { signal: abort.signal })
  abort.abort('enough')
  await expect(pause).rejects.toMatchObject({ code: 'ABORT_ERR', cause: 'enough' })
  expect(await timers.setTimeout(1, 'value')).toBe('value')
})
