import { expect, test } from 'vitest'
import { webRtcBy } from '../src/stun-option.ts'

test('WebRTC is loaded when a STUN server is named', async () => {
  expect(await webRtcBy(undefined)).toBeUndefined()
  expect(await webRtcBy([])).toBeUndefined()
  expect(await webRtcBy(['127.0.0.1:3478', 'stun:localhost'])).toMatchObject([{ name: 'webrtc' }])
})

test.each(['http://example.org', 'a b', ''])('%j is no server', async (server) => {
  await expect(webRtcBy([server])).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})
