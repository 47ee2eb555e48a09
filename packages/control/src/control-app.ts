import { ManyhandsError, toManyhandsError } from '@manyhands/core'
import type { Host } from '@manyhands/host'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { CONTROL_LIMITS } from './control-limits.ts'
import { eventStream } from './event-stream.ts'
import { prometheusText } from './prometheus.ts'
import {
  blockBody,
  drainBody,
  explainBody,
  killBody,
  limitBody,
  noBody,
  readBody,
} from './request-body.ts'
import { requestGuard } from './request-guard.ts'

/** The routes over a host, behind the guard. */
export function createControlApp(options: {
  host: Host
  token: string
  version: string
  port: () => number
}): Hono {
  const { host, version } = options
  const app = new Hono()
  let streams = 0

  app.onError((thrown, context) => {
    const error = toManyhandsError(thrown)
    if (error.code === 'UNAUTHORIZED') context.header('WWW-Authenticate', 'Bearer')
    return context.json({ error: error.toJSON() }, error.status as ContentfulStatusCode)
  })
  app.notFound((context) => {
    const error = new ManyhandsError(
      'NOT_FOUND',
      `control: there is no ${context.req.method} ${context.req.path}`,
      { hint: 'Check method and path, and that host and caller are of the same version.' },
    )
    return context.json({ error: error.toJSON() }, 404)
  })
  app.use(requestGuard({ port: options.port, token: options.token }))
  app.use(
    bodyLimit({
      maxSize: CONTROL_LIMITS.bodyBytes,
      onError: () => {
        throw new ManyhandsError(
          'FRAME_TOO_LARGE',
          `control: the body is larger than ${CONTROL_LIMITS.bodyBytes} bytes`,
          { hint: 'Send less.' },
        )
      },
    }),
  )

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

  app.get('/v1/version', (c) => c.json({ version, api: 1, peerId: host.peerId, pid: process.pid }))
  app.get('/v1/offer', (c) => c.json(host.offer))
  app.get('/v1/hosts', (c) => c.json([host.offer]))
  app.get('/v1/attempts', (c) => c.json(host.attempts()))
  app.get('/v1/attempts/:id', (c) => c.json(attempt(c.req.param('id'))))
  app.get('/v1/usage', (c) =>
    streaming((onEnd) => eventStream(c, 'usage', usage(undefined), onEnd)),
  )
  app.get('/v1/attempts/:id/usage', (c) => {
    const { id } = attempt(c.req.param('id'))
    return streaming((onEnd) => eventStream(c, 'usage', usage(id), onEnd))
  })
  app.post('/v1/attempts/:id/kill', async (c) => {
    const { reason } = await readBody(c, killBody)
    await host.kill(c.req.param('id'), reason)
    return c.json({ id: c.req.param('id') })
  })
  app.post('/v1/attempts/:id/pause', async (c) => {
    await readBody(c, noBody)
    await host.pause(c.req.param('id'))
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
  app.post('/v1/drain', async (c) => c.json(await host.drain(await readBody(c, drainBody))))
  app.post('/v1/block', async (c) => {
    const { peer } = await readBody(c, blockBody)
    await host.block(peer)
    return c.json({ peer })
  })
  app.post('/v1/explain', async (c) => c.json(await host.explain(await readBody(c, explainBody))))
  app.get('/metrics', (c) =>
    c.body(prometheusText(host, version), 200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    }),
  )
  return app
}
