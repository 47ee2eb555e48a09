import { ManyhandsError, type Network } from '@manyhands/core'
import { expect, it } from 'vitest'
import { whenClientIsThere } from '../src/client-away.ts'

class FakeNetwork extends EventTarget {
  there = true
  isConnected() {
    return this.there
  }
  comes() {
    this.there = true
    this.dispatchEvent(new CustomEvent('peer:connect', { detail: 'client' }))
  }
}

const gone = () => new ManyhandsError('PEER_GONE', 'it is gone')

function setUp() {
  const network = new FakeNetwork()
  const ending = new AbortController()
  const at = { network: network as unknown as Network, peer: 'client', signal: ending.signal }
  return { network, ending, at }
}

it('waits for a client that is away, and takes up what was begun', async () => {
  const { network, at } = setUp()
  let tries = 0
  const work = whenClientIsThere(at, async () => {
    tries += 1
    if (tries < 8) {
      // More often than one that is there may fail.
      network.there = false
      setImmediate(() => network.comes())
      throw gone()
    }
    return 'done'
  })
  expect(await work).toBe('done')
})

it('gives up a client that is there and gives nothing, unless it gets on', async () => {
  const { at } = setUp()
  let tries = 0
  const failing = whenClientIsThere(at, async (getsOn) => {
    tries += 1
    if (tries < 3) getsOn()
    throw gone()
  })
  await expect(failing).rejects.toMatchObject({ code: 'PEER_GONE' })
  expect(tries).toBe(5)
})

it('does not wait for what is not about the way, nor longer than the attempt lasts', async () => {
  const { network, ending, at } = setUp()
  const missing = new ManyhandsError('ARTIFACT_MISSING', 'it is not there')
  await expect(whenClientIsThere(at, () => Promise.reject(missing))).rejects.toBe(missing)
  network.there = false
  const waiting = whenClientIsThere(at, () => Promise.reject(gone()))
  ending.abort(new ManyhandsError('CANCELED', 'it was canceled'))
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELED' })
})
