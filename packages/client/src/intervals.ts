/** Positions from one to another, both included. */
export interface Interval {
  first: number
  last: number
}

/** A set of positions as intervals, sorted, none touching another. */
export class Intervals {
  #all: Interval[]

  constructor(all: Interval[] = []) {
    this.#all = []
    for (const one of all) this.add(one)
  }

  get size(): number {
    return this.#all.reduce((sum, { first, last }) => sum + last - first + 1, 0)
  }

  get first(): Interval | undefined {
    return this.#all[0]
  }

  [Symbol.iterator](): Iterator<Interval> {
    return this.#all.values()
  }

  overlaps({ first, last }: Interval): boolean {
    return this.#all.some((one) => one.first <= last && one.last >= first)
  }

  add({ first, last }: Interval): void {
    const before = this.#all.filter((one) => one.last < first - 1)
    const after = this.#all.filter((one) => one.first > last + 1)
    const touched = this.#all.slice(before.length, this.#all.length - after.length)
    const joined = {
      first: Math.min(first, touched[0]?.first ?? first),
      last: Math.max(last, touched.at(-1)?.last ?? last),
    }
    this.#all = [...before, joined, ...after]
  }

  remove({ first, last }: Interval): void {
    this.#all = this.#all.flatMap((one) => {
      if (one.last < first || one.first > last) return [one]
      const left = { first: one.first, last: first - 1 }
      const right = { first: last + 1, last: one.last }
      return [left, right].filter((part) => part.first <= part.last)
    })
  }

  /** The parts of an interval that are not in the set. */
  missing(of: Interval): Interval[] {
    const rest = new Intervals([of])
    for (const one of this.#all) rest.remove(one)
    return [...rest]
  }
}
