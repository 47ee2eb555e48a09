import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { iceServers } from '../src/ice-servers.ts'
import { webrtc } from '../src/index.ts'

test.each([
  { stun: ['stun.example.org:3478'] },
  { stun: ['http://stun.example.org'] },
  { stun: ['stun:'] },
  { stun: ['stun:host:123456'] },
  { stun: ['stun:user@host:1'] },
  { stun: ['turn:host:3478'] },
  { stun: ['stun:a', 'stun:b', 'stun:c', 'stun:d', 'stun:e'] },
  { turn: [{ url: 'stun:host', username: 'u', credential: 'c' }] },
  { turn: [{ url: 'turn:host', username: '', credential: 'c' }] },
])('%j are refused before anything is loaded', (options) => {
  expect(() => webrtc(options)).toThrowError(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})

test('servers that are named are asked, and no other', () => {
  expect(iceServers({})).toEqual([])
  const turn = [{ url: 'turn:t.example.org:3478?transport=udp', username: 'u', credential: 'c' }]
  const stun = ['stun:s.example.org', 'stun:192.0.2.1:3478', 'stun:[2001:db8::1]:3478']
  webrtc({ stun, turn })
  expect(iceServers({ stun, turn })).toEqual([
    ...stun.map((urls) => ({ urls })),
    { urls: 'turn:t.example.org:3478?transport=udp', username: 'u', credential: 'c' },
  ])
})

test('native code is loaded when a network with it is made', () => {
  const program = `
    import { createNetwork } from '@manyhands/core'
    import { webrtc } from ${JSON.stringify(new URL('../src/index.ts', import.meta.url).pathname)}
    const loaded = () => process.report.getReport().sharedObjects.some((each) => each.includes('datachannel'))
    const plugin = webrtc({ stun: ['stun:127.0.0.1:1'] })
    await (await createNetwork({ gossip: false })).close()
    const before = loaded()
    await (await createNetwork({ gossip: false, transports: [plugin] })).close()
    console.log(JSON.stringify([before, loaded()]))`
  const args = ['--input-type=module', '--conditions=@manyhands/source', '-e', program]
  const said = execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 })
  expect(JSON.parse(said)).toEqual([false, true])
})
