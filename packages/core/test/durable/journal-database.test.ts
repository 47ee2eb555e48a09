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
