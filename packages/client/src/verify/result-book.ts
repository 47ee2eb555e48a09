/**
 * Where a task's result stands. `unchecked`: the draw was no. `checking`: others are asked. `agreed`: others
 * had the same. `fallen`: it does not count, and its task is about to run again. `stands`: it was not checked,
 * and never will be.
 */
export type ResultState = 'unchecked' | 'checking' | 'agreed' | 'fallen' | 'stands'

/** The result of one task, as far as checks go. */
export interface BookedResult {
  task: string
  /** Whose result it is. */
  host: string
  state: ResultState
  /** Everybody who has given this result, `host` included. */
  supporters: string[]
  /** Who was found wrong by its check. */
  against: string[]
}

export type ResultChange = Partial<Omit<BookedResult, 'task'>>

/**
 * Results of one job that came and did not fall. It may be large, and belongs into the journal; what decides
 * about it, {@link JobChecks}, is as large as there are hosts.
 */
export interface ResultBook {
  /** A task has a result, in the place of one that it had before. It is the last one of its host. */
  put(result: BookedResult): void
  get(task: string): BookedResult | undefined
  change(task: string, change: ResultChange): void
  remove(task: string): void
  /** The result that a host gave last, as long as it stands. */
  lastOf(host: string): BookedResult | undefined
  hosts(): Iterable<string>
  /** Unchecked and agreed results that nobody supports but hosts of this set. */
  standingOn(hosts: ReadonlySet<string>): BookedResult[]
  /** Results that are being checked or have fallen, and those whose check has found somebody wrong. */
  unsettled(): BookedResult[]
}

/** A book in memory. */
export class MemoryResultBook implements ResultBook {
  readonly #results = new Map<string, BookedResult>()
  /** Tasks of each host in the order in which it gave them. */
  readonly #byHost = new Map<string, Set<string>>()

  put(result: BookedResult): void {
    this.remove(result.task)
    this.#results.set(result.task, result)
    tasksOf(this.#byHost, result.host).add(result.task)
  }

  get(task: string): BookedResult | undefined {
    return this.#results.get(task)
  }

  change(task: string, change: ResultChange): void {
    const before = this.#results.get(task)
    if (before === undefined) return
    const after = { ...before, ...change }
    if (after.host !== before.host) {
      this.#byHost.get(before.host)?.delete(task)
      tasksOf(this.#byHost, after.host).add(task)
    }
    this.#results.set(task, after)
  }

  remove(task: string): void {
    const before = this.#results.get(task)
    if (before === undefined) return
    this.#results.delete(task)
    this.#byHost.get(before.host)?.delete(task)
  }

  lastOf(host: string): BookedResult | undefined {
    const last = [...(this.#byHost.get(host) ?? [])].at(-1)
    return last === undefined ? undefined : this.#results.get(last)
  }

  hosts(): Iterable<string> {
    return this.#byHost.keys()
  }

  standingOn(hosts: ReadonlySet<string>): BookedResult[] {
    return [...this.#results.values()].filter(
      ({ state, supporters }) =>
        (state === 'unchecked' || state === 'agreed') &&
        supporters.every((supporter) => hosts.has(supporter)),
    )
  }

  unsettled(): BookedResult[] {
    return [...this.#results.values()].filter(
      ({ state, against }) => state === 'checking' || state === 'fallen' || against.length > 0,
    )
  }
}

function tasksOf(map: Map<string, Set<string>>, host: string): Set<string> {
  const known = map.get(host)
  if (known !== undefined) return known
  const tasks = new Set<string>()
  map.set(host, tasks)
  return tasks
}
