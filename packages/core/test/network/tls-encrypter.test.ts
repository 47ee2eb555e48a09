import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { ConnectionEncrypter, Libp2p, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { type TLSComponents, tls } from '@libp2p/tls'
import { byteStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { X509Certificate } from '@peculiar/x509'
import { createLibp2p } from 'libp2p'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type Certificate,
  createCertificate,
  verifyCertificate,
} from '../../src/network/certificate.ts'
import { socketTls } from '../../src/network/tls-encrypter.ts'

const nodes: Libp2p[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()))
})

type Encrypter = (components: TLSComponents) => ConnectionEncrypter

async function node(encrypter: Encrypter, listen = ['/ip4/127.0.0.1/tcp/0']): Promise<Libp2p> {
  const made = await createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux()],
  })
  nodes.push(made)
  return made
}

const rawOf = ({ cert }: Certificate): Uint8Array =>
  new Uint8Array(new X509Certificate(cert).rawData)

/** The same certificate with some of its bytes exchanged. */
function exchange(raw: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const bytes = Buffer.from(raw)
  const at = bytes.indexOf(from)
  expect(at).toBeGreaterThan(0)
  bytes.set(to, at)
  return bytes
}

/** A certificate that names the victim, with the signature of somebody else. */
const forge =
  (victim: PrivateKey) =>
  (attacker: PrivateKey): Promise<Certificate> =>
    createCertificate({
      publicKey: victim.publicKey,
      sign: (bytes: Uint8Array) => attacker.sign(bytes),
    } as unknown as PrivateKey)

async function withoutExtension(): Promise<Certificate> {
  const { X509CertificateGenerator, PemConverter } = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned(
    { serialNumber: '11', signingAlgorithm: algorithm, keys },
    webcrypto,
  )
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    cert: certificate.toString('pem'),
    key: PemConverter.encode(key, PemConverter.PrivateKeyTag),
  }
}

describe('certificate', () => {
  test.each(['Ed25519', 'secp256k1', 'RSA'] as const)(
    'names a peer with an %s key',
    async (type) => {
      const key = await generateKeyPair(type)
      const peer = await verifyCertificate(rawOf(await createCertificate(key)))
      expect(peer.toString()).toBe(peerIdFromPrivateKey(key).toString())
    },
  )

  test('of another peer than the expected one is refused', async () => {
    const raw = rawOf(await createCertificate(await generateKeyPair('Ed25519')))
    const expected = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    await expect(verifyCertificate(raw, expected)).rejects.toThrow('not the expected peer')
  })

  test('must be shown', async () => {
    await expect(verifyCertificate(undefined)).rejects.toThrow('no certificate')
  })

  test('must name a peer', async () => {
    const raw = rawOf(await withoutExtension())
    await expect(verifyCertificate(raw)).rejects.toThrow('names no peer')
  })

  test('must be signed by the peer that it names', async () => {
    const [victim, attacker] = [await generateKeyPair('Ed25519'), await generateKeyPair('Ed25519')]
    const raw = rawOf(await forge(victim)(attacker))
    await expect(verifyCertificate(raw)).rejects.toThrow('not signed by the peer that it names')
  })

  test('must be signed by its own key', async () => {
    const [one, other] = [await generateKeyPair('Ed25519'), await generateKeyPair('Ed25519')]
    const raw = rawOf(await createCertificate(one))
    const changed = exchange(
      raw,
      publicKeyToProtobuf(one.publicKey),
      publicKeyToProtobuf(other.publicKey),
    )
    await expect(verifyCertificate(changed)).rejects.toThrow('not signed by its own key')
  })

  test('must be valid now', async () => {
    const key = await generateKeyPair('Ed25519')
    const raw = rawOf(await createCertificate(key))
    const { notBefore, notAfter } = new X509Certificate(Uint8Array.from(raw))
    expect(notBefore.getTime()).toBeLessThan(Date.now())
    expect(notAfter.getTime()).toBeGreaterThan(Date.now())
    const now = Date.now
    try {
      Date.now = () => notBefore.getTime() - 1000
      await expect(verifyCertificate(raw)).rejects.toThrow('not valid yet')
      Date.now = () => notAfter.getTime() + 1000
      await expect(verifyCertificate(raw)).rejects.toThrow('is over')
    } finally {
      Date.now = now
    }
  })
})

describe('connection', () => {
  test.each([
    ['ours to ours', socketTls(), socketTls()],
    ['ours to stock', socketTls(), tls()],
    ['stock to ours', tls(), socketTls()],
  ])('%s carries bytes both ways', async (_, from, to) => {
    const [dialer, listener] = [await node(from, []), await node(to)]
    await listener.handle('/echo/1', (stream) => {
      stream.addEventListener('message', ({ data }) => stream.send(data))
    })
    const connection = await dialer.dial(listener.getMultiaddrs())
    expect(connection.encryption).toBe('/tls/1.0.0')
    expect(connection.multiplexer).toBe('/yamux/1.0.0')
    expect(connection.remotePeer.toString()).toBe(listener.peerId.toString())
    const stream = await connection.newStream('/echo/1')
    const bytes = byteStream(stream)
    const sent = Buffer.alloc(3 * 1024 ** 2, 'manyhands')
    const [got] = await Promise.all([bytes.read({ bytes: sent.length }), bytes.write(sent)])
    expect(sent.equals(got.subarray())).toBe(true)
    expect(listener.getPeers().map(String)).toEqual([dialer.peerId.toString()])
  })

  test('to an address with another peer id fails', async () => {
    const [dialer, listener] = [await node(socketTls(), []), await node(socketTls())]
    const other = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    const [address] = listener.getMultiaddrs()
    const wrong = multiaddr(String(address).replace(/p2p\/.*/, `p2p/${other}`))
    await expect(dialer.dial(wrong)).rejects.toThrow('not the expected peer')
    expect(dialer.getConnections()).toEqual([])
  })

  test('a listener with a forged certificate is refused', async () => {
    const victim = await generateKeyPair('Ed25519')
    const dialer = await node(socketTls(), [])
    const liar = await node(socketTls({ certify: forge(victim) }))
    const [address] = liar.getMultiaddrs()
    const bare = multiaddr(String(address).replace(/\/p2p\/.*/, ''))
    await expect(dialer.dial(bare)).rejects.toThrow('not signed by the peer that it names')
  })

  test.each([
    ['forged', async () => forge(await generateKeyPair('Ed25519'))],
    ['anonymous', async () => withoutExtension],
  ])('a dialer with a %s certificate gets no connection', async (_, certifier) => {
    const listener = await node(socketTls())
    const liar = await node(socketTls({ certify: await certifier() }), [])
    const connection = await liar.dial(listener.getMultiaddrs()).catch(() => undefined)
    // In TLS 1.3 the dialer is done before the listener has looked at its certificate.
    if (connection?.status === 'open') {
      await new Promise((resolve) => connection.addEventListener('close', resolve))
    }
    expect(listener.getConnections()).toEqual([])
  })

  test.each([
    ['TLSv1.3', 'secure'],
    ['TLSv1.2', 'refused'],
  ] as const)('a bare client with %s is %s', async (version, outcome) => {
    const listener = await node(socketTls())
    const { port } = (listener.getMultiaddrs()[0] as ReturnType<typeof multiaddr>)
      .getComponents()
      .reduce((found, { name, value }) => (name === 'tcp' ? { port: Number(value) } : found), {
        port: 0,
      })
    const socket = connectSocket(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n')
    let greeting = 0
    while (greeting < 32) {
      await once(socket, 'readable')
      greeting += (socket.read(32 - greeting) as Buffer | null)?.length ?? 0
    }
    const certificate = await createCertificate(await generateKeyPair('Ed25519'))
    const secured = connectTls({
      socket,
      ...certificate,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      maxVersion: version,
      ALPNProtocols: ['libp2p'],
    })
    const got = await Promise.race([
      once(secured, 'secureConnect').then(() => 'secure'),
      once(secured, 'error').then(() => 'refused'),
    ]).catch(() => 'refused')
    secured.on('error', () => {})
    secured.destroy()
    socket.destroy()
    expect(got).toBe(outcome)
  })
})
