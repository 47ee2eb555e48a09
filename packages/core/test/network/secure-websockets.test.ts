import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { expect, it, onTestFinished } from 'vitest'
import { createNetwork } from '../../src/index.ts'
import { selfMadeCertificate } from './self-made-certificate.ts'

const SECURE = '/ip4/127.0.0.1/tcp/0/tls/ws'

it('serves secure websockets with a certificate from files, or given as text', async () => {
  const { key, cert } = await selfMadeCertificate()
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-tls-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  await writeFile(join(dir, 'key.pem'), key)
  await writeFile(join(dir, 'cert.pem'), cert)
  for (const tls of [
    { key: join(dir, 'key.pem'), cert: join(dir, 'cert.pem') },
    { key, cert },
  ]) {
    const network = await createNetwork({ listen: [SECURE], tls })
    onTestFinished(() => network.close())
    const [, port] = /\/tcp\/(\d+)\/tls\/ws\/p2p\//.exec(network.addresses[0]!)!
    const socket = connect({ host: '127.0.0.1', port: Number(port), ca: cert })
    onTestFinished(() => void socket.destroy())
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
    })
    expect(socket.authorized).toBe(true)
  }
})

it('refuses, before it listens, what browsers could not connect to', async () => {
  const [one, other] = await Promise.all([selfMadeCertificate(), selfMadeCertificate()])
  const refused = (tls?: { key: string; cert: string }, listen = SECURE) =>
    expect(createNetwork({ listen: [listen], tls })).rejects
  const code = 'CONFIG_INVALID'
  await refused().toMatchObject({ code, message: expect.stringContaining('no certificate') })
  await refused(undefined, '/ip4/127.0.0.1/tcp/0/wss').toMatchObject({ code })
  await refused({ key: one.key, cert: other.cert }).toMatchObject({
    code,
    message: expect.stringContaining('not a certificate and its key'),
  })
  await refused({ key: '/nowhere/key.pem', cert: one.cert }).toMatchObject({
    code,
    message: expect.stringContaining('network.tls.key: /nowhere/key.pem'),
  })
})
