import type { JournalDatabase } from '@manyhands/core'
import type { BookedResult, ResultBook, ResultChange, ResultState } from '../verify/result-book.ts'

type Row = Record<string, unknown>

/** A result with its place among those of its host. */
type Placed = BookedResult & { at: number }

/** What is not in the file yet: how it will be, or that it will be gone. */
interface Unwritten {
  result: Placed | undefined
}

/**
 * The results of a job in the journal: as many as there are tasks, none of them in memory but those that
 * are being written. What was changed is seen at once.
 */
export class JournaledResultBook implements ResultBook {
  readonly #database: JournalDatabase
  readonly #job: string
  readonly #unwritten = new Map<string, Unwritten>()
  #at: number

  constructor(database: JournalDatabase, job: string) {
    this.#database = database
    this.#job = job
    const last = database.prepare('SELECT max(at) AS at FROM checks WHERE job = ?').get(job)
    this.#at = Number(last?.['at'] ?? 0)
  }

  put(result: BookedResult): void {
    this.#write(result.task, { ...result, at: this.#next() })
  }

  get(task: string): BookedResult | undefined {
    return this.#placed(task)
  }

  change(task: string, change: ResultChange): void {
    const before = this.#placed(task)
    if (before === undefined) return
    const moves = change.host !== undefined && change.host !== before.host
    this.#write(task, { ...before, ...change, at: moves ? this.#next() : before.at })
  }

  remove(task: string): void {
    if (this.#placed(task) !== undefined) this.#write(task, undefined)
  }

  lastOf(host: string): BookedResult | undefined {
    let last: Placed | undefined
    const rows = this.#database
      .prepare('SELECT * FROM checks WHERE job = ? AND host = ? ORDER BY at DESC')
      .iterate(this.#job, host)
    for (const row of rows) {
      if (this.#unwritten.has(row['task'] as string)) continue
      last = placedOf(row)
      break
    }
    for (const { result } of this.#unwritten.values()) {
      if (result?.host === host && result.at > (last?.at ?? 0)) last = result
    }
    return last
  }

  hosts(): Iterable<string> {
    const hosts = this.#database
      .prepare('SELECT DISTINCT host FROM checks WHERE job = ?')
      .all(this.#job)
      .map((row) => row['host'] as string)
    const fresh = [...this.#unwritten.values()].flatMap(({ result }) => result?.host ?? [])
    return new Set([...hosts, ...fresh])
  }

  /** Of what is unchecked, the host is the only supporter: only those of these hosts are looked at. */
  standingOn(hosts: ReadonlySet<string>): BookedResult[] {
    const written: Placed[] = []
    const take = (rows: Iterable<Row>) => {
      for (const row of rows) {
        if (!this.#unwritten.has(row['task'] as string)) written.push(placedOf(row))
      }
    }
    for (const host of hosts) {
      take(
        this.#database
          .prepare("SELECT * FROM checks WHERE job = ? AND host = ? AND state = 'unchecked'")
          .iterate(this.#job, host),
      )
    }
    take(
      this.#database
        .prepare("SELECT * FROM checks WHERE job = ? AND state = 'agreed'")
        .iterate(this.#job),
    )
    const unwritten = [...this.#unwritten.values()].flatMap(({ result }) => result ?? [])
    return [...written, ...unwritten]
      .filter(({ state }) => state === 'unchecked' || state === 'agreed')
      .filter(({ supporters }) => supporters.every((supporter) => hosts.has(supporter)))
      .sort((a, b) => a.at - b.at)
  }

  unsettled(): BookedResult[] {
    const written = this.#database
      .prepare("SELECT * FROM checks WHERE job = ? AND state <> 'unchecked'")
      .all(this.#job)
      .filter((row) => !this.#unwritten.has(row['task'] as string))
      .map(placedOf)
    const unwritten = [...this.#unwritten.values()].flatMap(({ result }) => result ?? [])
    return [...written, ...unwritten].filter(
      ({ state, against }) => state === 'checking' || state === 'fallen' || against.length > 0,
    )
  }

  #next(): number {
    this.#at += 1
    return this.#at
  }

  #placed(task: string): Placed | undefined {
    const unwritten = this.#unwritten.get(task)
    if (unwritten !== undefined) return unwritten.result
    const row = this.#database
      .prepare('SELECT * FROM checks WHERE job = ? AND task = ?')
      .get(this.#job, task)
    return row === undefined ? undefined : placedOf(row)
  }

  #write(task: string, result: Placed | undefined): void {
    const entry = { result }
    this.#unwritten.set(task, entry)
    this.#durable(task, result)
      // What could not be written stays here, and is as true for this process.
      .then(() => {
        if (this.#unwritten.get(task) === entry) this.#unwritten.delete(task)
      })
      .catch(() => {})
  }

  #durable(task: string, result: Placed | undefined): Promise<void> {
    if (result === undefined) {
      return this.#database.write('DELETE FROM checks WHERE job = ? AND task = ?', this.#job, task)
    }
    const { host, state, supporters, against, at } = result
    return this.#database.write(
      `INSERT INTO checks (job, task, host, state, supporters, against, at) VALUES (?,?,?,?,?,?,?)
       ON CONFLICT (job, task) DO UPDATE SET host = excluded.host, state = excluded.state,
         supporters = excluded.supporters, against = excluded.against, at = excluded.at`,
      this.#job,
      task,
      host,
      state,
      JSON.stringify(supporters),
      JSON.stringify(against),
      at,
    )
  }
}

function placedOf(row: Row): Placed {
  return {
    task: row['task'] as string,
    host: row['host'] as string,
    state: row['state'] as ResultState,
    supporters: JSON.parse(row['supporters'] as string),
    against: JSON.parse(row['against'] as string),
    at: row['at'] as number,
  }
}
