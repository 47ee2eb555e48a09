import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openJournalDatabase } from '../../src/durable/journal-database.ts'
import { openStateDirectory } from '../../src/durable/state-directory.ts'

const SCHEMA = 'CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY) STRICT'
const MODULE = new URL('../../src/durable/journal-database.ts', import.meta.url).href

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
})
afterEach(() => rm(dir, { recursive: true }))

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn += 1) {
    if (turn === 10_000) throw new Error('it does not come to that')
    await new Promise(setImmediate)
  }
}

/** Runs a program in a process of its own with the journal open. */
function child(program: string) {
  const source = `
    const { openJournalDatabase } = await import(${JSON.stringify(MODULE)})
    const journal = openJournalDatabase(${JSON.stringify(join(dir, 'j.db'))}, ${JSON.stringify(SCHEMA)}, 1)
    ${program}`
  return spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}

describe('a journal', () => {
  it('loses nothing that it acknowledged, however its process dies', async () => {
    const writer = child(`
      for (let n = 1; ; n += 1) {
        await journal.write('INSERT INTO rows VALUES (?)', n)
        process.stdout.write(n + '\\n')
      }`)
    let acknowledged = 0
    for await (const line of createInterface({ input: writer.stdout })) {
      acknowledged = Number(line)
      if (acknowledged === 150) writer.kill('SIGKILL')
    }
    expect(acknowledged).toBeGreaterThanOrEqual(150)
    const journal = openJournalDatabase(join(dir, 'j.db'), SCHEMA, 1)
    const { last } = journal.prepare('SELECT max(n) AS last FROM rows').get() as { last: number }
    await journal.close()
    expect(last).toBeGreaterThanOrEqual(acknowledged)
  })

  it('acknowledges nothing before it is on the disk, and syncs once what came meanwhile', async () => {
    const syncs: PromiseWithResolvers<void>[] = []
    const journal = openJournalDatabase(join(dir, 'j.db'), SCHEMA, 1, {
      sync: () => {
        const sync = Promise.withResolvers<void>()
        syncs.push(sync)
        return sync.promise
      },
    })
    const told: number[] = []
    const insert = (n: number) =>
      journal.write('INSERT INTO rows VALUES (?)', n).then(() => told.push(n))
    const first = insert(1)
    await until(() => syncs.length === 1)
    const others = [insert(2), insert(3)]
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
    expect({ told, syncs: syncs.length }).toEqual({ told: [], syncs: 1 })
    syncs[0]!.resolve()
    await first
    await until(() => syncs.length === 2)
    expect(told).toEqual([1])
    const closed = journal.close()
    await expect(journal.write('INSERT INTO rows VALUES (4)')).rejects.toThrow('closed')
    syncs[1]!.resolve()
    await Promise.all([...others, closed])
    expect(told).toEqual([1, 2, 3])
  })

  describe('what nobody waits for', () => {
    let gate: PromiseWithResolvers<void>
    let syncs = 0
    const opened = () => {
      gate = Promise.withResolvers()
      syncs = 0
      const sync = () => {
        syncs += 1
        return gate.promise
      }
      return openJournalDatabase(join(dir, 'j.db'), SCHEMA, 1, { sync })
    }
    type Journal = ReturnType<typeof opened>
    const inserting = (journal: Journal, n: number) => () => {
      journal.prepare('INSERT INTO rows VALUES (?)').run(n)
    }

    it('is seen before it is on the disk, and comes there with the next write', async () => {
      const journal = opened()
      await journal.commit(inserting(journal, 1))
      expect(journal.prepare('SELECT n FROM rows').all()).toMatchObject([{ n: 1 }])
      let told = false
      const written = journal.transact(inserting(journal, 2)).then(() => (told = true))
      await until(() => syncs > 0)
      expect(told).toBe(false)
      gate.resolve()
      await written
      await journal.close()
    })

    it('comes there by itself, when it is asked for, and when the journal is closed', async () => {
      const journal = opened()
      await journal.commit(inserting(journal, 1))
      await until(() => syncs === 1)
      gate.resolve()
      await journal.durable()
      gate = Promise.withResolvers()
      await journal.commit(inserting(journal, 2))
      let told = false
      const asked = journal.durable().then(() => (told = true))
      await until(() => syncs === 2)
      expect(told).toBe(false)
      gate.resolve()
      await asked
      await journal.commit(inserting(journal, 3))
      await journal.close()
      expect(syncs).toBe(3)
    })

    it('is not taken for durable with a write that was on its way to the disk before it', async () => {
      const journal = opened()
      await journal.commit(inserting(journal, 1))
      // Of the group of the next turn, while the disk is asked for the one before it.
      const second = journal.commit(inserting(journal, 2))
      const first = gate
      const before = journal.durable()
      await until(() => syncs === 1)
      gate = Promise.withResolvers()
      await second
      let told = false
      const asked = journal.durable().then(() => (told = true))
      first.resolve()
      await before
      await until(() => syncs === 2)
      expect(told).toBe(false)
      gate.resolve()
      await asked
      await journal.close()
    })
  })

  it('has what the log could not keep in the database', async () => {
    let fails = 1
    const sync = async () => {
      fails -= 1
      if (fails >= 0) throw Object.assign(new Error('an I/O error'), { code: 'EIO' })
    }
    const path = join(dir, 'j.db')
    const journal = openJournalDatabase(path, SCHEMA, 1, { sync })
    await journal.write('INSERT INTO rows VALUES (7)')
    // All of it, so that nothing of it is in the log any more.
    expect((await stat(`${path}-wal`)).size).toBe(0)
    await journal.write('INSERT INTO rows VALUES (8)')
    expect(journal.prepare('SELECT n FROM rows').all()).toMatchObject([{ n: 7 }, { n: 8 }])
    await journal.close()
  })

  it('does not take back what it has committed, and acknowledges it when the disk takes it again', async () => {
    let broken = true
    const sync = async () => {
      if (broken) throw Object.assign(new Error('an I/O error'), { code: 'EIO' })
    }
    const path = join(dir, 'j.db')
    const journal = openJournalDatabase(path, SCHEMA, 1, { sync })
    journal.prepare('INSERT INTO rows VALUES (0)').run()
    // Somebody reads: the log cannot be moved meanwhile.
    const reading = journal.prepare('SELECT n FROM rows').iterate()
    reading.next()
    const told: string[] = []
    const written = journal.write('INSERT INTO rows VALUES (7)').then(() => told.push('written'))
    await until(() => journal.prepare('SELECT n FROM rows WHERE n = 7').get() !== undefined)
    await new Promise((resolve) => setImmediate(resolve))
    const known = journal.durable().then(() => told.push('durable'))
    broken = false
    expect(told).toEqual([])
    reading.return?.()
    await Promise.all([written, known])
    // A sync would succeed by now, and would not have written it: nothing of it is in the log any more.
    expect((await stat(`${path}-wal`)).size).toBe(0)
    await journal.close()
  })

  it('is closed although the disk takes nothing', async () => {
    const path = join(dir, 'j.db')
    const sync = () => Promise.reject(Object.assign(new Error('an I/O error'), { code: 'EIO' }))
    const journal = openJournalDatabase(path, SCHEMA, 1, { sync })
    journal.prepare('INSERT INTO rows VALUES (0)').run()
    const reading = journal.prepare('SELECT n FROM rows').iterate()
    reading.next()
    const written = journal.write('INSERT INTO rows VALUES (7)')
    const refused = expect(written).rejects.toMatchObject({ code: 'INTERNAL' })
    await until(() => journal.prepare('SELECT n FROM rows WHERE n = 7').get() !== undefined)
    await journal.close()
    await refused
  })

  it('has one writer at a time and names it', async () => {
    const holder = child(`process.stdout.write('open\\n'); setInterval(() => {}, 1000)`)
    await once(createInterface({ input: holder.stdout }), 'line')
    expect(() => openJournalDatabase(join(dir, 'j.db'), SCHEMA, 1)).toThrow(
      expect.objectContaining({
        code: 'STATE_LOCKED',
        message: expect.stringContaining(`process ${holder.pid}`),
      }),
    )
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    await openJournalDatabase(join(dir, 'j.db'), SCHEMA, 1).close()
  })

  it('fails only the guilty write of a group, and all of it', async () => {
    const journal = openJournalDatabase(undefined, SCHEMA, 1)
    const insert = (n: number) => journal.prepare('INSERT INTO rows VALUES (?)').run(n)
    const [good, bad, alsoGood] = await Promise.allSettled([
      journal.transact(() => insert(1)),
      journal.transact(() => {
        insert(2)
        insert(1)
      }),
      journal.transact(() => insert(3)),
    ])
    expect([good?.status, bad?.status, alsoGood?.status]).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
    ])
    expect(
      journal
        .prepare('SELECT n FROM rows ORDER BY n')
        .all()
        .map((row) => row['n']),
    ).toEqual([1, 3])
    await journal.close()
    await expect(journal.transact(() => {})).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('refuses a file that is no journal, or of a newer version', async () => {
    await writeFile(join(dir, 'j.db'), 'not a database, but long enough to look at'.repeat(100))
    expect(() => openJournalDatabase(join(dir, 'j.db'), SCHEMA, 1)).toThrow(
      expect.objectContaining({ code: 'STATE_CORRUPT' }),
    )
    await openJournalDatabase(join(dir, 'k.db'), SCHEMA, 2).close()
    expect(() => openJournalDatabase(join(dir, 'k.db'), SCHEMA, 1)).toThrow(/version 2/)
  })
})

describe('a state directory', () => {
  it('keeps the identity, readable by its owner alone', async () => {
    const first = await openStateDirectory(join(dir, 'state'))
    const second = await openStateDirectory(join(dir, 'state'))
    expect(second.identitySeed).toEqual(first.identitySeed)
    expect((await stat(join(dir, 'state', 'identity.key'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(dir, 'state'))).mode & 0o777).toBe(0o700)
  })

  it('is temporary without a path, and gone after close', async () => {
    const state = await openStateDirectory(undefined)
    await state.close()
    await expect(stat(state.dir)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  it('refuses an identity that is none', async () => {
    await writeFile(join(dir, 'identity.key'), 'nonsense')
    await expect(openStateDirectory(dir)).rejects.toMatchObject({ code: 'STATE_CORRUPT' })
  })
})
