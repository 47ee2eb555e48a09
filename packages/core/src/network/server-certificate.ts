import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { ManyhandsError } from '../errors.ts'

/** What secure websockets are served with: each as PEM, or as the path of a file with it. */
export interface ServerCertificate {
  key: string
  /** With the certificates between it and one that browsers trust. */
  cert: string
}

/** Both as PEM. @throws CONFIG_INVALID when one cannot be read, or they are not each other's */
export async function readCertificate(from: ServerCertificate): Promise<ServerCertificate> {
  const [key, cert] = await Promise.all([pem('key', from.key), pem('cert', from.cert)])
  try {
    createSecureContext({ key, cert })
  } catch (cause) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `network.tls: not a certificate and its key: ${(cause as Error).message}`,
      { cause },
    )
  }
  return { key, cert }
}

async function pem(which: keyof ServerCertificate, value: string): Promise<string> {
  if (value.includes('-----BEGIN ')) return value
  try {
    return await readFile(value, 'utf8')
  } catch (cause) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `network.tls.${which}: ${value} cannot be read: ${(cause as Error).message}`,
      { cause, hint: 'Name a PEM file that this user may read, or give its text.' },
    )
  }
}
