import { webcrypto } from 'node:crypto'
import { publicKeyFromProtobuf, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
// Loaded for the reflection polyfill that @peculiar/x509 needs and does not bring.
import '@libp2p/tls'
import { Extension, PemConverter, X509Certificate, X509CertificateGenerator } from '@peculiar/x509'
import { concat } from 'uint8arrays/concat'
import { fromString } from 'uint8arrays/from-string'
import { ManyhandsError } from '../errors.ts'

/** https://github.com/libp2p/specs/blob/master/tls/tls.md#libp2p-public-key-extension */
const EXTENSION_ID = '1.3.6.1.4.1.53594.1.1'
const SIGNED_PREFIX = fromString('libp2p-tls-handshake:')

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const HOUR_MS = 60 * 60 * 1000
const CENTURY_MS = 100 * 365 * 24 * HOUR_MS

/** PEM texts. */
export interface Certificate {
  cert: string
  key: string
}

/** A self-signed certificate whose extension binds its key to a libp2p identity. */
export async function createCertificate(identity: PrivateKey): Promise<Certificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const spki = await webcrypto.subtle.exportKey('spki', keys.publicKey)
  const signature = await identity.sign(concat([SIGNED_PREFIX, new Uint8Array(spki)]))
  const now = Date.now()
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      // The leading 1 keeps the number positive and without a leading zero in DER.
      serialNumber: `1${randomHex(7)}`,
      notBefore: new Date(now - HOUR_MS),
      notAfter: new Date(Math.floor((now + CENTURY_MS) / 1000) * 1000),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new Extension(
          EXTENSION_ID,
          true,
          encodeSignedKey(publicKeyToProtobuf(identity.publicKey), signature),
        ),
      ],
    },
    webcrypto,
  )
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    cert: certificate.toString('pem'),
    key: PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag),
  }
}

/**
 * Whose certificate this is. TLS has already proved that the peer holds the certificate's key.
 *
 * @param raw the peer's certificate, DER; undefined when it showed none
 * @throws PROTOCOL saying which of the rules it breaks
 */
export async function verifyCertificate(
  raw: Uint8Array | undefined,
  expected?: PeerId,
): Promise<PeerId> {
  if (raw === undefined) throw refused('it showed no certificate')
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(Uint8Array.from(raw))
  } catch (cause) {
    throw refused('its certificate cannot be read', cause)
  }
  const now = Date.now()
  if (certificate.notBefore.getTime() > now) throw refused('its certificate is not valid yet')
  if (certificate.notAfter.getTime() < now) throw refused('its certificate is over')
  if (!(await certificate.verify({ signatureOnly: true }, webcrypto))) {
    throw refused('its certificate is not signed by its own key')
  }
  const extension = certificate.getExtension(EXTENSION_ID)
  if (extension === null) throw refused('its certificate names no peer')
  const { publicKey, signature } = decodeSignedKey(new Uint8Array(extension.value))
  const identity = publicKeyOf(publicKey)
  const signed = concat([SIGNED_PREFIX, new Uint8Array(certificate.publicKey.rawData)])
  if (!(await identity.verify(signed, signature))) {
    throw refused('its certificate is not signed by the peer that it names')
  }
  const peer = peerIdFromPublicKey(identity)
  if (expected !== undefined && !expected.equals(peer)) {
    throw refused(`${peer} is not the expected peer ${expected}`)
  }
  return peer
}

function publicKeyOf(bytes: Uint8Array) {
  try {
    return publicKeyFromProtobuf(bytes)
  } catch (cause) {
    throw refused('its certificate names a peer by an unknown kind of key', cause)
  }
}

const refused = (why: string, cause?: unknown): ManyhandsError =>
  new ManyhandsError('PROTOCOL', `the peer was refused: ${why}`, { cause })

const randomHex = (bytes: number): string =>
  Buffer.from(webcrypto.getRandomValues(new Uint8Array(bytes))).toString('hex')

const SEQUENCE = 0x30
const OCTET_STRING = 0x04

/** DER of `SEQUENCE { publicKey OCTET STRING, signature OCTET STRING }`. */
function encodeSignedKey(publicKey: Uint8Array, signature: Uint8Array): Uint8Array {
  return derElement(
    SEQUENCE,
    concat([derElement(OCTET_STRING, publicKey), derElement(OCTET_STRING, signature)]),
  )
}

function derElement(tag: number, content: Uint8Array): Uint8Array {
  const { length } = content
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >>> 8, length & 0xff]
  return concat([Uint8Array.of(tag, ...size), content])
}

function decodeSignedKey(der: Uint8Array): { publicKey: Uint8Array; signature: Uint8Array } {
  const sequence = readElement(der, SEQUENCE)
  const publicKey = readElement(sequence.content, OCTET_STRING)
  const signature = readElement(publicKey.rest, OCTET_STRING)
  if (sequence.rest.length + signature.rest.length > 0) throw malformed()
  return { publicKey: publicKey.content, signature: signature.content }
}

function readElement(der: Uint8Array, tag: number): { content: Uint8Array; rest: Uint8Array } {
  const [found, first = 0x80, second = 0, third = 0] = der
  let start = 2
  let length = first
  if (first === 0x81) {
    start = 3
    length = second
  } else if (first === 0x82) {
    start = 4
    length = second * 256 + third
  } else if (first >= 0x80) throw malformed()
  if (found !== tag || der.length < start + length) throw malformed()
  return { content: der.subarray(start, start + length), rest: der.subarray(start + length) }
}

const malformed = (): ManyhandsError => refused('its certificate names a peer in a malformed way')
