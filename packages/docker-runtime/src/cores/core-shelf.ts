import { type Core, coresHere, idsIn, workedMs } from './core-list.ts'

/** Load is in cores; sums of thirds must not miss the whole by a rounding error. */
const EPSILON = 1e-6
/** What a core did is compared over at least this long. */
const SAMPLE_MS = 500
/** Of its time: a core that others use as much is taken after those that nobody uses. */
const BUSY = 0.5

interface Holding {
  ids: number[]
  /** Of each core that is held. */
  share: number
}

/**
 * Binds tasks to cores of their own, as many as they asked for, rounded up: so one with a thousand
 * threads slows down nobody else, and programs that ask how many cores there are get the truth. A task
 * that fits nowhere whole is bound to none; its quota holds all the same.
 */
export class CoreShelf {
  readonly #cores: Core[]
  readonly #worked: () => Map<number, number>
  readonly #held = new Map<string, Holding>()
  #before: { at: number; worked: Map<number, number> } | undefined
  #busy = new Map<number, number>()

  constructor(cores: Core[] = coresHere(), worked: () => Map<number, number> = workedMs) {
    this.#cores = cores
    this.#worked = worked
  }

  holds(holder: string): boolean {
    return this.#held.has(holder)
  }

  /**
   * Cores for a task: those that it has, or new ones.
   *
   * @returns their numbers, as `2,3`; undefined for any
   */
  take(holder: string, cpus: number): string | undefined {
    const held = this.#held.get(holder)
    return held === undefined ? this.#choose(holder, cpus) : held.ids.join(',')
  }

  /**
   * A task asks for more or fewer than it had. One that is bound to none stays so; one whose cores have
   * time for it keeps them.
   *
   * @returns what it is to be bound to now, undefined for no change, and how to take that back
   */
  change(holder: string, cpus: number): { list: string | undefined; undo(): void } {
    const before = this.#held.get(holder)
    if (before === undefined) return { list: undefined, undo: () => {} }
    this.#held.delete(holder)
    const undo = () => {
      this.#held.set(holder, before)
    }
    const { count, share } = divided(cpus)
    const fits = before.ids.every((id) => this.#loadOf(id) + share <= 1 + EPSILON)
    if (count === before.ids.length && fits) {
      this.#held.set(holder, { ids: before.ids, share })
      return { list: undefined, undo }
    }
    const all = () => this.#cores.map(({ id }) => id).join(',')
    return { list: this.#choose(holder, cpus) ?? all(), undo }
  }

  #choose(holder: string, cpus: number): string | undefined {
    const { count, share } = divided(cpus)
    if (count >= this.#cores.length) return undefined
    const free = this.#cores.filter(({ id }) => this.#loadOf(id) + share <= 1 + EPSILON)
    if (free.length < count) return undefined
    const ids = this.#inOrder(free)
      .slice(0, count)
      .map(({ id }) => id)
      .sort((a, b) => a - b)
    this.#held.set(holder, { ids, share })
    return ids.join(',')
  }

  /** A container that is there already has these; an empty list, or all of them, is any. */
  adopt(holder: string, cpus: number, list: string): void {
    this.#held.delete(holder)
    const ids = idsIn(list)
    if (ids.length > 0 && ids.length < this.#cores.length)
      this.#held.set(holder, { ids, share: cpus / ids.length })
  }

  release(holder: string): void {
    this.#held.delete(holder)
  }

  #loadOf(id: number): number {
    let load = 0
    for (const { ids, share } of this.#held.values()) if (ids.includes(id)) load += share
    return load
  }

  /** The best first: begun ones before whole ones, then what nobody uses, then what is fast. */
  #inOrder(cores: Core[]): Core[] {
    this.#sample()
    const rank = (core: Core): number[] => {
      const busy = this.#busy.get(core.id) ?? 0
      const siblings = this.#cores.filter(({ physical }) => physical === core.physical)
      return [
        -this.#loadOf(core.id),
        busy > BUSY ? 1 : 0,
        -core.speed,
        siblings.reduce((sum, { id }) => sum + this.#loadOf(id), 0),
        Math.round(busy * 10),
        // The first ones serve most interrupts.
        -core.id,
      ]
    }
    return cores
      .map((core) => ({ core, rank: rank(core) }))
      .sort((a, b) => {
        const differs = a.rank.findIndex((value, index) => value !== b.rank[index])
        return differs < 0 ? 0 : a.rank[differs]! - b.rank[differs]!
      })
      .map(({ core }) => core)
  }

  /** How busy cores were lately, by whatever runs on this computer. */
  #sample(): void {
    const now = { at: performance.now(), worked: this.#worked() }
    const before = this.#before
    if (before !== undefined && now.at - before.at < SAMPLE_MS) return
    this.#before = now
    if (before === undefined) return
    const share = (id: number, worked: number) =>
      (worked - (before.worked.get(id) ?? worked)) / (now.at - before.at)
    this.#busy = new Map(now.worked.entries().map(([id, worked]) => [id, share(id, worked)]))
  }
}

/** Over how many cores it goes, and what it takes of each. */
function divided(cpus: number): { count: number; share: number } {
  const count = Math.max(1, Math.ceil(cpus - EPSILON))
  return { count, share: Math.max(0, cpus) / count }
}
