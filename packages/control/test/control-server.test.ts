import { request as httpRequest } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ControlServer, createControlServer } from '../src/index.ts'
import { type FakeHost, fakeHost } from './fake-host.ts'

let host: FakeHost
let control: ControlServer

beforeEach(async () => {
  host = fakeHost()
  control = await createControlServer({ host })
})
afterEach(() => control.close())

interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
}

/** By node:http, because fetch does not let a caller choose its Host or Origin. */
const send = (
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string>; body?: string } = {},
) =>
  new Promise<Answer>((resolve, reject) => {
    const outgoing = httpRequest(
      { host: '127.0.0.1', port: control.port, method, path, agent: false },
      (answer) => {
        let text = ''
        answer.on('data', (chunk) => {
          text += chunk
        })
        answer.on('end', () =>
          resolve({ status: answer.statusCode!, headers: answer.headers, text }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.setHeader('authorization', `Bearer ${control.token}`)
    for (const [name, value] of Object.entries(headers)) {
      if (value === '') outgoing.removeHeader(name)
      else outgoing.setHeader(name, value)
    }
    outgoing.end(body)
  })
const get = (path: string, headers?: Record<string, string>) => send('GET', path, { headers })
const post = (path: string, body: unknown = {}) =>
  send('POST', path, { body: typeof body === 'string' ? body : JSON.stringify(body) })
const errorOf = (answer: Answer) => JSON.parse(answer.text).error

describe('the guard', () => {
  it('listens on loopback with a fresh token of 32 bytes', async () => {
    expect(control.url).toBe(`http://127.0.0.1:${control.port}`)
    expect(Buffer.from(control.token, 'base64url')).toHaveLength(32)
    await using other = await createControlServer({ host })
    expect(other.token).not.toBe(control.token)
  })

  it('cannot be reached by any other address of this computer', async () => {
    const other = fetch(`http://127.0.0.2:${control.port}/v1/version`)
    await expect(other).rejects.toThrow('fetch failed')
  })

  it.each([
    ['none', ''],
    ['another', 'Bearer nonsense'],
    ['one that differs in its length', 'Bearer '],
    ['a different scheme', 'Basic abc'],
  ])('refuses a request with a wrong token: %s', async (_, authorization) => {
    const answer = await get('/v1/attempts', { authorization })
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toBe('Bearer')
    expect(errorOf(answer)).toMatchObject({ code: 'UNAUTHORIZED', blame: 'caller' })
  })

  it('refuses a wrong token on every route, known or not, before acting', async () => {
    for (const path of ['/metrics', '/v1/version', '/v1/usage', '/nowhere']) {
      expect((await get(path, { authorization: 'Bearer x' })).status, path).toBe(401)
    }
    const answer = await send('POST', '/v1/attempts/a1/kill', {
      headers: { authorization: 'Bearer x' },
      body: '{}',
    })
    expect(answer.status).toBe(401)
    expect(host.calls).toEqual([])
  })

  it('accepts exactly its own two Host values', async () => {
    expect((await get('/v1/version', { host: `127.0.0.1:${control.port}` })).status).toBe(200)
    expect((await get('/v1/version', { host: `localhost:${control.port}` })).status).toBe(200)
    for (const name of [
      'evil.example',
      `evil.example:${control.port}`,
      '127.0.0.1',
      `127.0.0.1:${control.port + 1}`,
      `localhost.evil.example:${control.port}`,
    ]) {
      const answer = await get('/v1/version', { host: name })
      expect(answer.status, name).toBe(403)
      expect(errorOf(answer).code).toBe('HOST_REFUSED')
    }
  })

  it('refuses a page of another origin, even with the token', async () => {
    expect((await get('/v1/version', { origin: control.url })).status).toBe(200)
    for (const origin of ['https://evil.example', 'null', `${control.url}0`]) {
      const answer = await get('/v1/version', { origin })
      expect(answer.status, origin).toBe(403)
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    }
  })

  it('refuses a body beyond the limit, announced or not', async () => {
    const body = JSON.stringify({ reason: 'x'.repeat(70_000) })
    const announced = await send('POST', '/v1/attempts/a1/kill', { body })
    expect(announced.status).toBe(413)
    expect(errorOf(announced).code).toBe('FRAME_TOO_LARGE')
    const chunked = await send('POST', '/v1/attempts/a1/kill', {
      headers: { 'transfer-encoding': 'chunked' },
      body,
    })
    expect(chunked.status).toBe(413)
    expect(host.calls).toEqual([])
  })
})

describe('the routes', () => {
  it('tells version and peer', async () => {
    const { version, peerId, pid } = JSON.parse((await get('/v1/version')).text)
    expect(version).toMatch(/^\d+\.\d+\.\d+/)
    expect({ peerId, pid }).toEqual({ peerId: host.peerId, pid: process.pid })
  })

  it('lists attempts, and one', async () => {
    expect(JSON.parse((await get('/v1/attempts')).text)).toEqual(host.attempts())
    expect(JSON.parse((await get('/v1/attempts/a1')).text)).toEqual(host.attempts()[0])
    const missing = await get('/v1/attempts/other')
    expect(missing.status).toBe(404)
    expect(errorOf(missing)).toMatchObject({ code: 'NOT_FOUND', hint: expect.stringMatching(/ps/) })
  })

  it('gives the offer, alone and as the list of hosts', async () => {
    expect(JSON.parse((await get('/v1/offer')).text)).toEqual(host.offer)
    expect(JSON.parse((await get('/v1/hosts')).text)).toEqual([host.offer])
  })

  it('kills, resumes and limits', async () => {
    expect((await post('/v1/attempts/a1/kill', { reason: 'mine' })).status).toBe(200)
    expect((await post('/v1/attempts/a1/kill', '')).status).toBe(200)
    expect((await post('/v1/attempts/a1/resume')).status).toBe(200)
    expect((await post('/v1/attempts/a1/limit', { cpus: 1, memory: '1GiB' })).status).toBe(200)
    expect(host.calls).toEqual([
      ['kill', 'a1', 'mine'],
      ['kill', 'a1', undefined],
      ['resume', 'a1'],
      ['limit', 'a1', { cpus: 1, memory: '1GiB' }],
    ])
  })

  it("answers with the host's own error and its status", async () => {
    const missing = await post('/v1/attempts/other/kill')
    expect([missing.status, errorOf(missing).code]).toEqual([404, 'NOT_FOUND'])
    const unsupported = await post('/v1/attempts/a1/pause')
    expect([unsupported.status, errorOf(unsupported).code]).toEqual([501, 'UNSUPPORTED'])
  })

  it('checks bodies, naming the field', async () => {
    for (const [path, body, field] of [
      ['/v1/attempts/a1/limit', {}, 'cpus'],
      ['/v1/attempts/a1/limit', { cpus: -1 }, 'body.cpus'],
      ['/v1/attempts/a1/limit', { cpu: 1 }, 'cpu'],
      ['/v1/attempts/a1/kill', { reason: 7 }, 'body.reason'],
      ['/v1/attempts/a1/kill', '{', 'JSON'],
      ['/v1/block', {}, 'body.peer'],
      ['/v1/drain', { deadline: [] }, 'body.deadline'],
      ['/v1/explain', { client: 'x', runtime: 'wasm' }, 'body.image'],
    ] as const) {
      const answer = await post(path, body)
      expect(answer.status, path).toBe(400)
      expect(errorOf(answer)).toMatchObject({ code: 'USAGE' })
      expect(errorOf(answer).message).toContain(field)
    }
    expect(host.calls).toEqual([])
  })

  it('drains, blocks and explains', async () => {
    const report = await post('/v1/drain', { deadline: '5s', reason: 'night' })
    expect(JSON.parse(report.text)).toEqual({ completed: 2, evicted: 1 })
    expect(JSON.parse((await post('/v1/block', { peer: '12D3KooEvil' })).text)).toEqual({
      peer: '12D3KooEvil',
    })
    const verdicts = await post('/v1/explain', { client: 'c', runtime: 'wasm', image: 'i' })
    expect(JSON.parse(verdicts.text)).toMatchObject([{ rule: 'clients', allowed: true }])
    expect(host.calls).toMatchObject([
      ['drain', { deadline: '5s', reason: 'night' }],
      ['block', '12D3KooEvil'],
      ['explain', { networkProfile: 'none', timeoutMs: 0, resources: { cpus: 1, pids: 256 } }],
    ])
  })

  it('answers a kill at once, and when all is gone to those who wait for it', async () => {
    const engine = Promise.withResolvers<void>()
    host.killed = engine.promise
    expect(JSON.parse((await post('/v1/attempts/a1/kill')).text)).toEqual({ id: 'a1', gone: false })
    const waiting = post('/v1/attempts/a1/kill?wait=gone')
    await expect.poll(() => host.calls.length).toBe(2)
    engine.resolve()
    expect(JSON.parse((await waiting).text)).toEqual({ id: 'a1', gone: true })
    expect(JSON.parse((await post('/v1/attempts/a1/kill')).text)).toEqual({ id: 'a1', gone: true })
  })

  it('survives a kill that fails after it was answered', async () => {
    const engine = Promise.withResolvers<void>()
    host.killed = engine.promise
    expect((await post('/v1/attempts/a1/kill')).status).toBe(200)
    engine.reject(new Error('the engine is gone'))
    expect((await get('/v1/version')).status).toBe(200)
    expect((await post('/v1/attempts/a1/kill?wait=gone')).status).toBe(500)
  })

  it('gives the history of an attempt, the totals and who is blocked', async () => {
    expect(JSON.parse((await get('/v1/attempts/a1/history')).text)).toEqual(host.history('a1'))
    expect((await get('/v1/attempts/other/history')).status).toBe(404)
    expect(JSON.parse((await get('/v1/totals')).text)).toEqual(host.totals())
    expect((await post('/v1/unblock', { peer: '12D3KooOld' })).status).toBe(200)
    expect(JSON.parse((await get('/v1/blocked')).text)).toEqual([])
  })

  describe('the policy', () => {
    const put = (body: unknown) =>
      send('PUT', '/v1/policy', { body: typeof body === 'string' ? body : JSON.stringify(body) })

    it('is a document that can be put back as it came', async () => {
      const { text } = await get('/v1/policy')
      expect(JSON.parse(text)).toEqual({ share: { cpus: 4 }, policy: { images: ['demo:*'] } })
      expect(JSON.parse((await put(text)).text)).toEqual(JSON.parse(text))
    })

    it("changes sections, and keeps the owner's functions", async () => {
      const { admit } = host.policy.policy!
      expect((await put({ policy: { images: ['other:*'] } })).status).toBe(200)
      expect(host.policy).toEqual({ share: { cpus: 4 }, policy: { images: ['other:*'], admit } })
    })

    it("answers with the host's own word about a wrong setting, and changes nothing", async () => {
      const before = host.policy
      const answer = await put({ share: { cpus: 0 } })
      expect(answer.status).toBe(400)
      expect(errorOf(answer)).toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('share.cpus'),
      })
      for (const wrong of [{ shares: {} }, { share: 7 }, [], '{']) {
        expect(errorOf(await put(wrong)).code).toBe('USAGE')
      }
      expect(host.policy).toBe(before)
    })

    it('may be longer than other bodies, but not without end', async () => {
      const clients = Array.from({ length: 5000 }, (_, index) => `12D3Koo${index}`.padEnd(52, 'x'))
      expect((await put({ policy: { clients } })).status).toBe(200)
      expect((await put(`{"policy":{"x":"${'y'.repeat(2 ** 21)}"}}`)).status).toBe(413)
    })
  })

  it('ends the program after a drain that asks for it, and only where it may', async () => {
    const refused = await post('/v1/drain', { stop: true })
    expect([refused.status, errorOf(refused).code]).toEqual([501, 'UNSUPPORTED'])
    expect(host.calls).toEqual([])
    await control.close()
    let stopped = 0
    control = await createControlServer({ host, stop: () => (stopped += 1) })
    await post('/v1/drain', { deadline: 'never' })
    expect(stopped).toBe(0)
    expect((await post('/v1/drain', { deadline: 'never', stop: true })).status).toBe(200)
    await expect.poll(() => stopped).toBe(1)
    expect(host.calls.at(-1)).toEqual(['drain', { deadline: 'never' }])
  })

  it('answers JSON to what does not exist', async () => {
    for (const answer of [await get('/v2/attempts'), await post('/v1/attempts')]) {
      expect(answer.status).toBe(404)
      expect(errorOf(answer).code).toBe('NOT_FOUND')
    }
  })
})

describe('usage', () => {
  const open = (path: string, accept: string, signal: AbortSignal) =>
    fetch(`${control.url}${path}`, {
      headers: { authorization: `Bearer ${control.token}`, accept },
      signal,
    })
  const readUntil = async (answer: Response, end: RegExp) => {
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of answer.body!) {
      text += decoder.decode(chunk)
      if (end.test(text)) return text
    }
    return text
  }

  it('streams server-sent events of all attempts, and stops when the caller leaves', async () => {
    const abort = new AbortController()
    const answer = await open('/v1/usage', 'text/event-stream', abort.signal)
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    const text = await readUntil(answer, /"elapsedMs":1/)
    const [, sample] = /event: usage\ndata: (.+)\n\n/.exec(text)!
    expect(JSON.parse(sample!)).toMatchObject({ attempt: 'a1', cpu: 0.5 })
    abort.abort()
    await expect.poll(() => host.readers).toBe(0)
  })

  it('streams lines of one attempt to a caller that asks for lines', async () => {
    const abort = new AbortController()
    const answer = await open('/v1/attempts/a1/usage', 'application/x-ndjson', abort.signal)
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
    const text = await readUntil(answer, /"elapsedMs":1.*\n/)
    const samples = text.split('\n').filter((line) => line !== '')
    expect(samples.map((line) => JSON.parse(line).elapsedMs)).toEqual([0, 1])
    abort.abort()
  })

  it('refuses an unknown attempt instead of a silent stream', async () => {
    expect((await get('/v1/attempts/other/usage')).status).toBe(404)
    expect(host.readers).toBe(0)
  })

  it('ends with the server', async () => {
    const answer = await open('/v1/usage', 'text/event-stream', AbortSignal.timeout(30_000))
    await readUntil(answer, /"elapsedMs":0/)
    await control.close()
    await expect.poll(() => host.readers).toBe(0)
  })

  it('allows a bounded number of streams', async () => {
    const abort = new AbortController()
    const answers = await Promise.all(
      Array.from({ length: 64 }, () => open('/v1/usage', 'text/event-stream', abort.signal)),
    )
    expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 64 }, () => 200))
    expect((await get('/v1/usage')).status).toBe(429)
    abort.abort()
    await expect.poll(() => host.readers).toBe(0)
    const again = new AbortController()
    expect((await open('/v1/usage', 'text/event-stream', again.signal)).status).toBe(200)
    again.abort()
  })
})
