import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { PolicyBook } from '../src/policy-book.ts'
import { checkPolicy, parsePolicyDocument } from '../src/policy-document.ts'

const guide = await readFile(new URL('../../../docs/guides/host.md', import.meta.url), 'utf8')

describe('a policy as data', () => {
  it('is what the guide shows', () => {
    const [, example] = /```json\n([\s\S]*?)```/.exec(guide)!
    const document = parsePolicyDocument(JSON.parse(example!))
    expect(Object.keys(document)).toEqual(['share', 'policy', 'schedule', 'transfer'])
    expect(() => new PolicyBook(document)).not.toThrow()
  })

  it('may hold its rules at the top, and functions nowhere', () => {
    expect(parsePolicyDocument({ maxAttempts: 2, policy: { maxRuntime: '1h' } })).toEqual({
      policy: { maxAttempts: 2, maxRuntime: '1h' },
    })
    expect(parsePolicyDocument({})).toEqual({})
    expect(() => parsePolicyDocument({ admit: () => true })).toThrow(/^admit: unknown setting/)
    expect(() => parsePolicyDocument(null)).toThrow(/^policy: /)
    expect(() => checkPolicy({ policy: { admit: () => true } })).not.toThrow()
  })

  it.each([
    '{"__proto__":{"clients":[]}}',
    '{"policy":{"__proto__":{"clients":[]}}}',
    '{"constructor":1}',
  ])('refuses or ignores %s without any effect', (text) => {
    let document = {}
    try {
      document = parsePolicyDocument(JSON.parse(text))
    } catch (error) {
      expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    }
    expect(new PolicyBook(document).rules.clients).toBeUndefined()
  })

  it('says what was expected and shows no more than the beginning of what came', () => {
    expect(() => parsePolicyDocument({ share: { memory: 'x'.repeat(10_000) } })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(
          /^share\.memory: expected bytes or a text such as '512MiB', got "x{99}…$/,
        ),
      }),
    )
  })
})

describe('PolicyBook', () => {
  it('gives a named client its own quota, whatever the client is called', () => {
    const book = new PolicyBook({
      policy: { quotas: { perClient: { attempts: 1 }, clients: { friend: { disk: '1KiB' } } } },
    })
    expect(book.quotaOf('friend')).toEqual({ diskBytes: 1024 })
    for (const client of ['other', '__proto__', 'constructor', 'toString']) {
      expect(book.quotaOf(client)).toEqual({ attempts: 1 })
    }
  })

  it('knows programs however their owner writes them', () => {
    const pauseWhile = ['Steam', 'Neverball.EXE', '/usr/bin/blender', 'C:\\Games\\Doom.exe']
    const book = new PolicyBook({ schedule: { pauseWhile } })
    expect(book.schedule.pauseWhile).toEqual(['steam', 'neverball', 'blender', 'doom'])
  })

  it('reads rates and quotas of transfers, and gives to hosts unless it is told not to', () => {
    const book = new PolicyBook({
      transfer: {
        upload: '10MiB/s',
        perPeer: { download: 65_536 },
        daily: { upload: '1GiB', download: 0 },
      },
    })
    expect(book.transfer).toEqual({
      upload: 10 * 1024 ** 2,
      perPeer: { download: 65_536 },
      daily: { upload: 1024 ** 3, download: 0 },
    })
    expect(book.givesToHosts).toBe(true)
    book.replace({ transfer: { giveToHosts: false } })
    expect(book.transfer).toEqual({ daily: {} })
    expect(book.givesToHosts).toBe(false)
  })

  it.each([
    [
      { upload: '10MiB' },
      /^transfer\.upload: expected bytes per second or a text such as '10MiB\/s', got "10MiB"/,
    ],
    [
      { perPeer: { download: 1000 } },
      /^transfer\.perPeer\.download: expected at least 64.0 KiB\/s, got 1000/,
    ],
    [{ daily: { upload: 'much' } }, /^transfer\.daily\.upload: expected bytes/],
    [{ share: true }, /^transfer\.share: unknown setting; expected one of upload/],
  ])('refuses the transfer rules %j in words', (transfer, message) => {
    expect(() => new PolicyBook({ transfer } as never)).toThrow(message)
  })

  it('keeps what was in force when a change is wrong', () => {
    const book = new PolicyBook({ policy: { maxAttempts: 3 } })
    expect(() => book.replace({ policy: {}, schedule: { hours: 'x' } })).toThrow(/schedule\.hours/)
    expect(book.maxAttempts).toBe(3)
    book.replace({ schedule: { hours: '08:00-09:00' } })
    expect(book.maxAttempts).toBe(3)
    book.replace({ policy: {}, share: undefined })
    expect(book.maxAttempts).toBe(1024)
    expect(book.schedule.hours?.text).toBe('08:00-09:00')
  })
})
