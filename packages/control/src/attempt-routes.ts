import { ManyhandsError } from '@manyhands/core'
import type { Host } from '@manyhands/host'
import type { Hono } from 'hono'
import { CONTROL_LIMITS } from './control-limits.ts'
import { eventStream } from './event-stream.ts'
import { killBody, limitBody, noBody, pauseBody, readBody } from './request-body.ts'

/** What runs: each attempt, its usage and what its owner may do to it. */
export function addAttemptRoutes(app: Hono, host: Host): void {
  let streams = 0

  const attempt = (id: string) => {
    const found = host.attempts().find((candidate) => candidate.id === id)
    if (found !== undefined) return found
    throw new ManyhandsError('NOT_FOUND', `attempt ${id} is not on this host`, {
      hint: 'List the attempts with `manyhands ps`.',
    })
  }
  const usage = (id: string | undefined) => (abort: AbortSignal) =>
    host.usage({ attempt: id, signal: abort })
  const streaming = (respond: (onEnd: () => void) => Response) => {
    if (streams >= CONTROL_LIMITS.streams) {
      throw new ManyhandsError('LIMIT', `control: ${streams} streams are open already`, {
        hint: 'Close some of them.',
      })
    }
    streams += 1
    return respond(() => {
      streams -= 1
    })
  }

  app.get('/v1/attempts', (c) => c.json(host.attempts()))
  app.get('/v1/attempts/:id', (c) => c.json(attempt(c.req.param('id'))))
  app.get('/v1/attempts/:id/history', (c) => c.json(host.history(c.req.param('id'))))
  app.get('/v1/usage', (c) =>
    streaming((onEnd) => eventStream(c, 'usage', usage(undefined), onEnd)),
  )
  app.get('/v1/attempts/:id/usage', (c) => {
    const { id } = attempt(c.req.param('id'))
    return streaming((onEnd) => eventStream(c, 'usage', usage(id), onEnd))
  })
  app.post('/v1/attempts/:id/kill', async (c) => {
    const { reason } = await readBody(c, killBody)
    const { id } = attempt(c.req.param('id'))
    const gone = host.kill(id, reason)
    if (c.req.query('wait') === 'gone') {
      await gone
      return c.json({ id, gone: true })
    }
    // The intent stands as soon as kill() was called. An engine that hangs must not keep the owner
    // waiting for an answer; what can be told at once is.
    const told = await Promise.race([gone.then(() => true), soon(CONTROL_LIMITS.killAnswerMs)])
    gone.catch(() => {})
    return c.json({ id, gone: told })
  })
  app.post('/v1/attempts/:id/pause', async (c) => {
    const { reason } = await readBody(c, pauseBody)
    await host.pause(c.req.param('id'), reason)
    return c.json(attempt(c.req.param('id')))
  })
  app.post('/v1/attempts/:id/resume', async (c) => {
    await readBody(c, noBody)
    await host.resume(c.req.param('id'))
    return c.json(attempt(c.req.param('id')))
  })
  app.post('/v1/attempts/:id/limit', async (c) => {
    const change = await readBody(c, limitBody)
    await host.limit(c.req.param('id'), change)
    return c.json(attempt(c.req.param('id')))
  })
}

const soon = (ms: number) =>
  new Promise<false>((resolve) => {
    setTimeout(() => resolve(false), ms).unref()
  })
