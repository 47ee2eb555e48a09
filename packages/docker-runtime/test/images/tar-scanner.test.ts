import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TarScanner } from '../../src/images/tar-scanner.ts'
import { bytesOf, record, seal, type TarMember, tar } from './tar-for-tests.ts'

interface Seen {
  name: string
  type: string
  size: number
  linkName: string
  body: string
}

function scan(archive: Uint8Array, pieces = archive.length): Seen[] {
  const scanner = new TarScanner({ what: 'the archive', entries: 100 })
  const seen: Seen[] = []
  for (let at = 0; at < archive.length; at += pieces) {
    for (const event of scanner.push(archive.subarray(at, at + pieces))) {
      if (event.kind === 'entry') seen.push({ ...event.entry, body: '' })
      else if (event.kind === 'body')
        seen.at(-1)!.body += Buffer.from(event.bytes).toString('latin1')
    }
  }
  scanner.finish()
  return seen
}

const names = (members: TarMember[]) => scan(tar(members)).map(({ name }) => name)

describe('TarScanner', () => {
  it('sees the same entries however the archive is cut into pieces', () => {
    const member = fc.record({
      name: fc.stringMatching(/^[a-z]{1,20}(\/[a-z]{1,20}){0,3}$/),
      body: fc.uint8Array({ maxLength: 1500 }),
    })
    const property = fc.property(
      fc.array(member, { maxLength: 8 }),
      fc.integer({ min: 1, max: 2000 }),
      (members, pieces) => {
        const seen = scan(tar(members), pieces)
        expect(seen.map(({ name, body }) => [name, body])).toEqual(
          members.map(({ name, body }) => [name, Buffer.from(body).toString('latin1')]),
        )
      },
    )
    fc.assert(property, { numRuns: 200 })
  })

  it('reads what extended headers say of the next entry, and of no other', () => {
    const long = `${'d'.repeat(90)}/${'n'.repeat(90)}`
    const seen = scan(
      tar([
        { name: 'x', type: 'x', body: record('path', long) + record('size', '5') },
        { name: 'short', body: 'large', size: 0 },
        { name: 'L', type: 'L', body: `${long}2\0` },
        { name: 'short', body: 'b' },
        { name: 'g', type: 'g', body: record('comment', 'all') },
        { name: 'plain', body: 'c' },
      ]),
    )
    expect(seen.map(({ name, body }) => [name, body])).toEqual([
      [long, 'large'],
      [`${long}2`, 'b'],
      ['plain', 'c'],
    ])
  })

  it('gives no body to kinds that have none, whatever their size says', () => {
    const kinds = ['1', '2', '3', '4', '5', '6']
    const seen = scan(tar(kinds.map((type) => ({ name: `k${type}`, type, size: 4096 }))))
    expect(seen.map(({ name, size }) => [name, size])).toEqual(kinds.map((type) => [`k${type}`, 0]))
  })

  it('reads sizes beyond eight gibibytes', () => {
    const archive = tar([{ name: 'large', size: 20 * 1024 ** 3 }])
    const scanner = new TarScanner({ what: 'it', entries: 9 })
    const [event] = [...scanner.push(archive.subarray(0, 512))]
    expect(event).toMatchObject({ entry: { size: 20 * 1024 ** 3 } })
    expect(() => scanner.finish()).toThrow('it was cut')
  })

  it('takes an archive that ends between two entries, and nothing that ends elsewhere', () => {
    const archive = tar([{ name: 'a', body: 'x'.repeat(600) }], 0)
    expect(scan(archive)).toHaveLength(1)
    for (const length of [1, 511, 513, 1000, 1500]) {
      expect(() => scan(archive.subarray(0, length))).toThrow('was cut')
    }
    const pending = tar([{ name: 'x', type: 'x', body: record('path', 'b') }], 0)
    expect(() => scan(pending)).toThrow('was cut')
  })

  it('does not look at what comes after the end', () => {
    const after = Buffer.alloc(512, 'x')
    expect(scan(Buffer.concat([tar([{ name: 'a' }]), after]))).toHaveLength(1)
  })

  it.each<[string, TarMember[]]>([
    ['the kind "S"', [{ name: 'sparse', type: 'S' }]],
    ['the kind "7"', [{ name: 'contiguous', type: '7' }]],
    ['the kind "M"', [{ name: 'continued', type: 'M' }]],
    ['sparse', [{ name: 'x', type: 'x', body: record('GNU.sparse.major', '1') }, { name: 'a' }]],
    ['sparse', [{ name: 'g', type: 'g', body: record('GNU.sparse.size', '9') }, { name: 'a' }]],
    ['extended header that is none', [{ name: 'x', type: 'x', body: '99 path=a\n' }]],
    ['extended header that is none', [{ name: 'x', type: 'x', body: '9 path=ab' }]],
    ['size that is none', [{ name: 'x', type: 'x', body: record('size', '-1') }, { name: 'a' }]],
    ['size that is none', [{ name: 'x', type: 'x', body: record('size', '1e9') }, { name: 'a' }]],
    ['extended header of 1048577', [{ name: 'x', type: 'x', size: 1024 ** 2 + 1 }]],
    ['directory with a body', [{ name: 'd/', type: '\0', body: 'x' }]],
    ['without a name', [{ name: '' }]],
    ['negative size', [{ name: 'a', change: (block) => block.fill(0xff, 124, 136) }]],
    [
      'beyond counting',
      [{ name: 'a', change: (block) => block.fill(0xff, 125, 136).fill(0x80, 124, 125) }],
    ],
    ['number that is none', [{ name: 'a', change: (block) => block.write('0000009', 124) }]],
    [
      'global header between',
      [
        { name: 'x', type: 'x', body: record('size', '0') },
        { name: 'g', type: 'g', body: record('comment', 'x') },
        { name: 'a', body: 'hidden' },
      ],
    ],
    ['more than 100 entries', Array.from({ length: 101 }, (_, n) => ({ name: `f${n}` }))],
  ])('refuses %s', (why, members) => {
    expect(() => names(members)).toThrow(why)
    expect(() => names(members)).toThrow(expect.objectContaining({ code: 'IMAGE_INVALID' }))
  })

  it('refuses a wrong checksum, and an entry after a block of zeros', () => {
    const archive = tar([{ name: 'a', body: 'b' }, { name: 'c' }])
    archive[3] = 0x41
    expect(() => scan(archive)).toThrow('wrong checksum')
    const late = Buffer.concat([Buffer.alloc(512), tar([{ name: 'late' }])])
    expect(() => scan(late)).toThrow('after a block of zeros')
  })

  it('ends what is not an archive with a typed error, always', () => {
    const base = tar([
      { name: 'x', type: 'x', body: record('path', 'a/b') },
      { name: 'a', body: bytesOf('c'.repeat(700)) },
      { name: 'l', type: '2', linkName: 'a' },
    ])
    const property = fc.property(
      fc.array(fc.tuple(fc.nat(base.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (changes, sealed) => {
        const bytes = Buffer.from(base)
        for (const [at, value] of changes) bytes[at] = value
        // With right checksums the changes reach what is behind them.
        if (sealed) for (const at of [0, 1024, 2560]) seal(bytes.subarray(at, at + 512))
        try {
          scan(bytes, 300)
        } catch (error) {
          expect(error).toMatchObject({ code: 'IMAGE_INVALID' })
        }
      },
    )
    fc.assert(property, { numRuns: 2000 })
  })
})
