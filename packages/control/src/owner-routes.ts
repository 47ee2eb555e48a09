import type { ServerResponse } from 'node:http'
import { ManyhandsError } from '@manyhands/core'
import type { Host, HostPolicy } from '@manyhands/host'
import type { Context, Hono } from 'hono'
import { drainBody, explainBody, gcBody, peerBody, policyBody, readBody } from './request-body.ts'

/**
 * The host as a whole: who may use it, what was used, and its end.
 *
 * @param stop - ends the process of the host; absent where a program embeds it and nobody may
 */
export function addOwnerRoutes(app: Hono, host: Host, stop: (() => void) | undefined): void {
  app.get('/v1/offer', (c) => c.json(host.offer))
  app.get('/v1/hosts', (c) => c.json([host.offer]))
  app.post('/v1/gc', async (c) => {
    const { keepBytes } = await readBody(c, gcBody)
    const dryRun = flag(c.req.query('dryRun'), 'dryRun')
    return c.json(await host.gc({ dryRun, ...(keepBytes === undefined ? {} : { keepBytes }) }))
  })
  app.get('/v1/totals', (c) => c.json(host.totals()))
  // Functions are no part of a document; JSON leaves them out.
  app.get('/v1/policy', (c) => c.json(host.policy))
  app.put('/v1/policy', async (c) => {
    await host.setPolicy(withFunctions(await readBody(c, policyBody), host.policy))
    return c.json(host.policy)
  })
  app.post('/v1/explain', async (c) => c.json(await host.explain(await readBody(c, explainBody))))

  app.post('/v1/drain', async (c) => {
    const { stop: andStop = false, ...options } = await readBody(c, drainBody)
    if (andStop && stop === undefined) {
      throw new ManyhandsError('UNSUPPORTED', 'this host is part of a program that goes on', {
        hint: 'Drain it without stop, and end its program.',
      })
    }
    const report = await host.drain(options)
    if (andStop) afterAnswer(c, () => stop?.())
    return c.json(report)
  })
  app.get('/v1/blocked', (c) => c.json(host.blocked))
  app.post('/v1/block', async (c) => {
    const { peer } = await readBody(c, peerBody)
    await host.block(peer)
    return c.json({ peer })
  })
  app.post('/v1/unblock', async (c) => {
    const { peer } = await readBody(c, peerBody)
    await host.unblock(peer)
    return c.json({ peer })
  })
}

/** `?name=true`, or without a value. @throws USAGE */
function flag(value: string | undefined, name: string): boolean {
  if (value === undefined || value === 'false') return false
  if (value === '' || value === 'true') return true
  throw new ManyhandsError(
    'USAGE',
    `control: ${name}: expected true or false, got ${value.slice(0, 100)}`,
  )
}

/** A section replaces the one in force, but for the owner's functions, which cannot travel. */
function withFunctions(change: HostPolicy, inForce: HostPolicy): HostPolicy {
  if (change.policy === undefined) return change
  const { admit, onUsage } = inForce.policy ?? {}
  const kept = {
    ...(admit === undefined ? {} : { admit }),
    ...(onUsage === undefined ? {} : { onUsage }),
  }
  return { ...change, policy: { ...kept, ...change.policy } }
}

/**
 * Acts when the answer has left, for what acts ends this server. Also when the caller has gone
 * meanwhile: it asked for the end, not for the answer alone.
 */
function afterAnswer(context: Context, act: () => void): void {
  const { outgoing } = context.env as { outgoing: ServerResponse }
  if (outgoing.closed || outgoing.destroyed) act()
  else outgoing.once('close', act)
}
