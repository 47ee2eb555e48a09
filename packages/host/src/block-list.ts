import { type JournalDatabase, LIMITS, ManyhandsError, type Network } from '@manyhands/core'

export const BLOCKS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS blocked_clients (client TEXT PRIMARY KEY) STRICT;
`

/** Where blocks outlive the process. */
export interface BlockJournal {
  blocked(): string[]
  block(client: string): Promise<void>
  unblock(client: string): Promise<void>
}

export class SqliteBlockJournal implements BlockJournal {
  readonly #database: JournalDatabase

  constructor(database: JournalDatabase) {
    this.#database = database
  }

  blocked(): string[] {
    return this.#database
      .prepare('SELECT client FROM blocked_clients ORDER BY client')
      .all()
      .map((row) => row['client'] as string)
  }

  block(client: string): Promise<void> {
    return this.#database.write('INSERT OR IGNORE INTO blocked_clients VALUES (?)', client)
  }

  unblock(client: string): Promise<void> {
    return this.#database.write('DELETE FROM blocked_clients WHERE client = ?', client)
  }
}

/** Clients that the owner does not want: refused by the rules, their connections refused as well. */
export class BlockList {
  readonly #network: Network
  readonly #journal: BlockJournal
  readonly #clients: Set<string>

  constructor(network: Network, journal: BlockJournal) {
    this.#network = network
    this.#journal = journal
    this.#clients = new Set(journal.blocked())
  }

  get clients(): ReadonlySet<string> {
    return this.#clients
  }

  /** Refuses at the door who was blocked in an earlier life. */
  async restore(): Promise<void> {
    for (const client of this.#clients) await this.#network.block(client)
  }

  /**
   * Refuses new work of a client from this moment on; resolves when that is durable. Its connections stay
   * until {@link cut}.
   *
   * @throws ADDRESS_INVALID for what is no peer id, LIMIT
   */
  block(client: string): Promise<void> {
    if (!this.#clients.has(client) && this.#clients.size >= LIMITS.blockedClients) {
      throw new ManyhandsError('LIMIT', `${this.#clients.size} clients are blocked already`, {
        hint: 'Name the clients that may use this host instead: policy.clients.',
      })
    }
    // The network refuses a text that is no peer id before anything is remembered.
    this.#network.isConnected(client)
    this.#clients.add(client)
    return this.#journal.block(client)
  }

  /** Ends the connections of a client that is still blocked, and refuses new ones. */
  async cut(client: string): Promise<void> {
    if (this.#clients.has(client)) await this.#network.block(client)
  }

  async unblock(client: string): Promise<void> {
    if (!this.#clients.delete(client)) return
    this.#network.unblock(client)
    await this.#journal.unblock(client)
  }
}
