import { lookup } from 'node:dns/promises'
import { connect, type Socket } from 'node:net'
import { ManyhandsError } from '@manyhands/core'
import type { AddressPolicy } from './address-policy.ts'
import { EGRESS_LIMITS } from './egress-limits.ts'
import type { Destination } from './egress-rules.ts'

/** Names to addresses; injected where names are not those of the world. */
export type Resolve = (host: string) => Promise<string[]>

export const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address)

/** Why a destination was not reached, as a proxy tells it. */
export class DestinationError extends ManyhandsError {
  readonly httpStatus: 403 | 502 | 504

  constructor(httpStatus: 403 | 502 | 504, message: string) {
    super('CONNECT_FAILED', message)
    this.httpStatus = httpStatus
  }
}

/**
 * Resolves once and connects to one of the addresses that it got: a name that answers differently the
 * next time changes nothing.
 *
 * @throws DestinationError
 */
export async function connectTo(
  { host, port, literal }: Destination,
  policy: AddressPolicy,
  resolve: Resolve,
): Promise<Socket> {
  const found = literal ? [host] : await resolved(host, resolve)
  const permitted = found.filter((address) => policy.permits(address))
  if (permitted.length === 0) {
    throw new DestinationError(403, `${host} has no address that tasks may reach`)
  }
  let last: unknown
  for (const address of permitted.slice(0, EGRESS_LIMITS.addresses)) {
    try {
      return await connected(address, port)
    } catch (error) {
      last = error
    }
  }
  if (last instanceof DestinationError) throw last
  throw new DestinationError(502, `${host}:${port} cannot be reached: ${(last as Error).message}`)
}

async function resolved(host: string, resolve: Resolve): Promise<string[]> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => late.reject(new DestinationError(504, `${host} was not resolved in time`)),
    EGRESS_LIMITS.resolveMs,
  )
  timer.unref()
  try {
    return await Promise.race([resolve(host), late.promise])
  } catch (error) {
    if (error instanceof DestinationError) throw error
    throw new DestinationError(502, `${host} is not known: ${(error as Error).message}`)
  } finally {
    clearTimeout(timer)
  }
}

function connected(address: string, port: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const socket = connect({ host: address, port, allowHalfOpen: true })
  const timer = setTimeout(() => {
    socket.destroy(new DestinationError(504, `${address}:${port} does not answer`))
  }, EGRESS_LIMITS.connectMs)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  socket.once('error', reject)
  socket.once('connect', () => {
    clearTimeout(timer)
    socket.off('error', reject)
    resolve(socket)
  })
  return promise
}
