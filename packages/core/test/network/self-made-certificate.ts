import { hash, webcrypto } from 'node:crypto'
// Loaded for the reflection polyfill that @peculiar/x509 needs and does not bring.
import '@libp2p/tls'
import {
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000

/** A certificate for this computer that nobody has vouched for. */
export async function selfMadeCertificate(): Promise<{ key: string; cert: string; spki: string }> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=localhost',
      keys,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      signingAlgorithm: ALGORITHM,
      extensions: [
        new SubjectAlternativeNameExtension([
          { type: 'dns', value: 'localhost' },
          { type: 'ip', value: '127.0.0.1' },
        ]),
      ],
    },
    webcrypto,
  )
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const spki = await webcrypto.subtle.exportKey('spki', keys.publicKey)
  return {
    key: PemConverter.encode(pkcs8, 'PRIVATE KEY'),
    cert: certificate.toString('pem'),
    /** Base64 of the sha256 of its key: how Chromium is told to trust it. */
    spki: hash('sha256', new Uint8Array(spki), 'base64'),
  }
}
