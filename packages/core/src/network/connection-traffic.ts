import type { Connection, MultiaddrConnection } from '@libp2p/interface'

/** What has gone over a connection, and how fast in the last seconds. */
export interface Traffic {
  bytesIn: number
  bytesOut: number
  bytesInPerSecond: number
  bytesOutPerSecond: number
}

/** Over how long a rate is taken at least, ms. */
const RATE_MS = 1000

/** What is below a connection; not in its declared type. */
interface Layered {
  maConn?: MultiaddrConnection & {
    /** Of TCP: the kernel's socket, which counts by itself. */
    socket?: { bytesRead: number; bytesWritten: number }
  }
  /** Measured by libp2p's own pings, ms. */
  rtt?: number
}

interface Sample extends Traffic {
  at: number
}

/** Counts what connections carry, where nobody else does, without touching their data. */
export class ConnectionTraffic {
  readonly #counted = new WeakMap<Connection, { bytesIn: number; bytesOut: number }>()
  readonly #past = { bytesIn: 0, bytesOut: 0 }
  readonly #samples = new WeakMap<Connection, Sample>()

  /** A connection has opened. */
  watch(connection: Connection): void {
    const { maConn } = connection as unknown as Layered
    if (maConn === undefined || isCounted(maConn)) return
    const count = { bytesIn: 0, bytesOut: 0 }
    this.#counted.set(connection, count)
    maConn.addEventListener('message', ({ data }) => {
      count.bytesIn += data.byteLength
    })
    const send = maConn.send.bind(maConn)
    maConn.send = (data) => {
      count.bytesOut += data.byteLength
      return send(data)
    }
  }

  /** A connection has closed. */
  closed(connection: Connection): void {
    const { bytesIn, bytesOut } = this.#total(connection)
    this.#past.bytesIn += bytesIn
    this.#past.bytesOut += bytesOut
  }

  /** Of all that there were, with those that are open. */
  sum(open: Connection[]): Pick<Traffic, 'bytesIn' | 'bytesOut'> {
    const sum = { ...this.#past }
    for (const connection of open) {
      const { bytesIn, bytesOut } = this.#total(connection)
      sum.bytesIn += bytesIn
      sum.bytesOut += bytesOut
    }
    return sum
  }

  of(connection: Connection, now = performance.now()): Traffic {
    const { bytesIn, bytesOut } = this.#total(connection)
    const before = this.#samples.get(connection)
    const since = before ?? { at: now - ageOf(connection), bytesIn: 0, bytesOut: 0 }
    const ms = now - since.at
    if (before !== undefined && ms < RATE_MS) {
      const { bytesInPerSecond, bytesOutPerSecond } = before
      return { bytesIn, bytesOut, bytesInPerSecond, bytesOutPerSecond }
    }
    const rate = (bytes: number) => (Math.max(0, bytes) * 1000) / Math.max(ms, RATE_MS)
    const traffic = {
      bytesIn,
      bytesOut,
      bytesInPerSecond: rate(bytesIn - since.bytesIn),
      bytesOutPerSecond: rate(bytesOut - since.bytesOut),
    }
    this.#samples.set(connection, { ...traffic, at: now })
    return traffic
  }

  #total(connection: Connection): { bytesIn: number; bytesOut: number } {
    const { maConn } = connection as unknown as Layered
    if (maConn !== undefined && isCounted(maConn)) {
      const { bytesRead, bytesWritten } = maConn.socket
      return { bytesIn: bytesRead, bytesOut: bytesWritten }
    }
    return this.#counted.get(connection) ?? { bytesIn: 0, bytesOut: 0 }
  }
}

/** How long a word over it and back takes, ms; undefined before it was measured. */
export function rttOf(connection: Connection): number | undefined {
  return (connection as unknown as Layered).rtt
}

function isCounted<M extends NonNullable<Layered['maConn']>>(
  maConn: M,
): maConn is M & { socket: NonNullable<M['socket']> } {
  return typeof maConn.socket?.bytesRead === 'number'
}

const ageOf = ({ timeline }: Connection) => Math.max(0, Date.now() - timeline.open)
