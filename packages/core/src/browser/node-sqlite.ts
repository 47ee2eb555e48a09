import type { BindValue, Database, Statement } from 'sql.js'
import { sqlModule } from './sql-module.ts'

// What stands for node:sqlite in a browser: databases in the page's memory, whatever path they are given.

type Row = Record<string, unknown>

class SqliteError extends Error {
  readonly code = 'ERR_SQLITE_ERROR'
}

/** The part of Node's class of that name that journals use. */
export class DatabaseSync {
  readonly #database: Database
  readonly #statements = new Set<StatementSync>()

  /** @throws where {@link sqlModule} was not loaded before */
  constructor(_path: string, _options?: { readOnly?: boolean }) {
    this.#database = new (sqlModule().Database)()
  }

  exec(sql: string): void {
    attempt(() => this.#database.exec(sql))
  }

  prepare(sql: string): StatementSync {
    const statement = attempt(() => new StatementSync(this.#database, sql))
    this.#statements.add(statement)
    return statement
  }

  /** SQLite begins none inside another. */
  get isTransaction(): boolean {
    try {
      this.#database.exec('BEGIN')
    } catch {
      return true
    }
    this.#database.exec('ROLLBACK')
    return false
  }

  close(): void {
    for (const statement of this.#statements) statement.free()
    this.#statements.clear()
    this.#database.close()
  }
}

export class StatementSync {
  readonly #database: Database
  readonly #statement: Statement
  readonly #columns: readonly string[]

  /** @internal */
  constructor(database: Database, sql: string) {
    this.#database = database
    this.#statement = database.prepare(sql)
    this.#columns = this.#statement.getColumnNames()
  }

  run(...values: unknown[]): { changes: number } {
    return this.#with(values, () => {
      while (this.#statement.step());
      return { changes: this.#database.getRowsModified() }
    })
  }

  get(...values: unknown[]): Row | undefined {
    return this.#with(values, () => (this.#statement.step() ? this.#row() : undefined))
  }

  all(...values: unknown[]): Row[] {
    return this.#with(values, () => {
      const rows: Row[] = []
      while (this.#statement.step()) rows.push(this.#row())
      return rows
    })
  }

  /** All rows at once: what is in memory anyway need not be read bit by bit. */
  iterate(...values: unknown[]): ArrayIterator<Row> {
    return this.all(...values).values()
  }

  /** @internal */
  free(): void {
    this.#statement.free()
  }

  #with<Result>(values: unknown[], work: () => Result): Result {
    return attempt(() => {
      try {
        this.#statement.bind(values.map(bound))
        return work()
      } finally {
        this.#statement.reset()
      }
    })
  }

  #row(): Row {
    const values = this.#statement.get()
    return Object.fromEntries(this.#columns.map((column, at) => [column, values[at]]))
  }
}

function bound(value: unknown): BindValue {
  if (typeof value === 'bigint') return Number(value)
  return value as BindValue
}

function attempt<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (cause) {
    throw new SqliteError((cause as Error).message ?? String(cause), { cause })
  }
}
