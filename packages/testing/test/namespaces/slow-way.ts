import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { hasTool, Namespace, noNamespaces } from './namespace.ts'

const PROGRAM = new URL('./slow-way.py', import.meta.url).pathname
/** Packets that wait for the program: a burst of a fast sender is no loss. */
const QUEUE = 20_000

/** What happens to packets on a way; what is left out stays as it is. The program documents each. */
export interface Conditions {
  way?: 'both' | 'there' | 'back'
  delayMs?: number
  jitterMs?: number
  loss?: number
  reorder?: number
  duplicate?: number
  mbit?: number
  queueBytes?: number
}

/** A direct way between two namespaces that is as bad as a test wants it. */
export class SlowWay implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #answers: NodeJS.AsyncIterator<string>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#answers = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  }

  /** Each end is a namespace, its device there, and its address. */
  static async between(
    one: [at: Namespace, device: string, address: string],
    other: [at: Namespace, device: string, address: string],
  ): Promise<SlowWay> {
    const args = [PROGRAM, one[0].name, one[1], other[0].name, other[1]]
    const way = new SlowWay(spawn('python3', args, { stdio: ['pipe', 'pipe', 'inherit'] }))
    await way.#answer()
    for (const [[at, device, address], [, , peer]] of [
      [one, other],
      [other, one],
    ] as const) {
      await at.ip(
        `addr add ${address} peer ${peer} dev ${device}`,
        `link set ${device} txqueuelen ${QUEUE} up`,
      )
    }
    return way
  }

  /** From now on. Resolves with how many packets were carried and lost so far. */
  async set(conditions: Conditions): Promise<{ carried: number; lost: number }> {
    this.#child.stdin!.write(`${JSON.stringify(conditions)}\n`)
    return JSON.parse(await this.#answer())
  }

  async #answer(): Promise<string> {
    const { value, done } = await this.#answers.next()
    if (done) throw new Error('the slow way ended')
    return value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.stdin!.end()
    await ended
  }
}

/** Why there can be no slow way here; undefined: there can. */
export function noSlowWay(): string | undefined {
  const missing = noNamespaces()
  if (missing !== undefined) return missing
  return hasTool('python3', '--version') ? undefined : 'python3 is missing (Debian: python3)'
}

export interface SlowPlace {
  namespace: Namespace
  /** Where it is for the others. */
  address: string
}

/** One computer in the middle, and others each at a slow way of its own to it. */
export interface SlowBed extends AsyncDisposable {
  place(name: string): SlowPlace
  way(name: string): SlowWay
}

export async function createSlowBed(middle: string, around: string[]): Promise<SlowBed> {
  await using making = new AsyncDisposableStack()
  const places = new Map<string, SlowPlace>()
  const ways = new Map<string, SlowWay>()
  const centre = making.use(await Namespace.create(middle))
  places.set(middle, { namespace: centre, address: '10.98.1.1' })
  for (const [index, name] of around.entries()) {
    const namespace = making.use(await Namespace.create(name))
    const net = `10.98.${index + 1}`
    const way = await SlowWay.between(
      [centre, `tun${index}`, `${net}.1`],
      [namespace, 'tun0', `${net}.2`],
    )
    making.use(way)
    places.set(name, { namespace, address: `${net}.2` })
    ways.set(name, way)
  }
  const all = making.move()
  return {
    place: (name) => places.get(name)!,
    way: (name) => ways.get(name)!,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}
