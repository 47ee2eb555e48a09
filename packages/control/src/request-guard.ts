import { createHash, timingSafeEqual } from 'node:crypto'
import { ManyhandsError } from '@manyhands/core'
import type { MiddlewareHandler } from 'hono'

/**
 * Lets a request through only when it comes from somebody who can read the control file.
 *
 * Being on loopback proves nothing: every page in a browser on this computer can send requests there.
 * The exact `Host` defeats DNS rebinding, `Origin` defeats other pages, the token everybody else.
 */
export function requestGuard(options: { port: () => number; token: string }): MiddlewareHandler {
  const expected = digest(`Bearer ${options.token}`)
  return async (context, next) => {
    const names = [`127.0.0.1:${options.port()}`, `localhost:${options.port()}`]
    const host = context.req.header('host')
    if (host === undefined || !names.includes(host)) {
      throw new ManyhandsError('HOST_REFUSED', `control: Host '${host ?? ''}' is not this server`, {
        hint: `Use http://${names[0]}.`,
      })
    }
    const origin = context.req.header('origin')
    if (origin !== undefined && !names.some((name) => origin === `http://${name}`)) {
      throw new ManyhandsError(
        'HOST_REFUSED',
        `control: Origin '${origin}' may not call this API`,
        {
          hint: 'Call it from a program, or from a page that this server delivers.',
        },
      )
    }
    if (!timingSafeEqual(digest(context.req.header('authorization') ?? ''), expected)) {
      throw new ManyhandsError('UNAUTHORIZED', 'control: the bearer token is missing or wrong')
    }
    await next()
  }
}

// Digests have one length, so that the comparison tells nothing about the token's.
const digest = (text: string) => createHash('sha256').update(text).digest()
