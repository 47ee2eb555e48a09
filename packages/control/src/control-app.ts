import { ManyhandsError, toManyhandsError } from '@manyhands/core'
import type { Host } from '@manyhands/host'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { addAttemptRoutes } from './attempt-routes.ts'
import { CONTROL_LIMITS } from './control-limits.ts'
import { addOwnerRoutes } from './owner-routes.ts'
import { prometheusText } from './prometheus.ts'
import { requestGuard } from './request-guard.ts'

/** The routes over a host, behind the guard. */
export function createControlApp(options: {
  host: Host
  token: string
  version: string
  port: () => number
  stop: (() => void) | undefined
}): Hono {
  const { host, version } = options
  const app = new Hono()

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
  app.use('/v1/policy', bounded(CONTROL_LIMITS.policyBytes))
  const others = bounded(CONTROL_LIMITS.bodyBytes)
  app.use((context, next) => (context.req.path === '/v1/policy' ? next() : others(context, next)))

  app.get('/v1/version', (c) => c.json({ version, api: 1, peerId: host.peerId, pid: process.pid }))
  addAttemptRoutes(app, host)
  addOwnerRoutes(app, host, options.stop)
  app.get('/metrics', (c) =>
    c.body(prometheusText(host, version), 200, {
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    }),
  )
  return app
}

const bounded = (bytes: number) =>
  bodyLimit({
    maxSize: bytes,
    onError: () => {
      throw new ManyhandsError(
        'FRAME_TOO_LARGE',
        `control: the body is larger than ${bytes} bytes`,
        { hint: 'Send less.' },
      )
    },
  })
