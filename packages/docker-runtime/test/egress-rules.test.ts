import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AddressPolicy } from '../src/egress/address-policy.ts'
import { EgressRules, parseDestination } from '../src/egress/egress-rules.ts'

const allows = (entries: string[], authority: string, port?: number) => {
  const destination = parseDestination(authority, port)
  return destination !== undefined && new EgressRules(entries).allows(destination)
}

describe('an allow-list', () => {
  it('means names exactly, their ports, and what is below a star', () => {
    const list = ['Example.org', '*.cdn.net', 'db.local:5432', 'bücher.de', '93.184.216.34']
    for (const yes of [
      'example.org:443',
      'EXAMPLE.org.:80',
      'a.cdn.net:443',
      'a.b.cdn.net:80',
      'db.local:5432',
      'xn--bcher-kva.de:443',
      '93.184.216.34:80',
    ]) {
      expect(allows(list, yes), yes).toBe(true)
    }
    for (const no of [
      'example.org:22',
      'www.example.org:443',
      'evilexample.org:443',
      'example.org.evil.net:443',
      'cdn.net:443',
      'evilcdn.net:443',
      'db.local:443',
      '93.184.216.35:80',
      '1572395042:80',
      '0x5db8d822:80',
      '0135.0270.0330.0042:80',
      'example.org:0',
      'example.org:65536',
      'user@example.org:443',
      'example.org',
      '',
    ]) {
      expect(allows(list, no), no).toBe(false)
    }
    expect(allows(list, 'example.org', 80)).toBe(true)
  })

  it('knows addresses of both kinds in any spelling, and no name for them', () => {
    expect(allows(['[2001:db8::1]:8443'], '[2001:DB8:0::1]:8443')).toBe(true)
    expect(allows(['2001:db8::1'], '[2001:db8::1]:443')).toBe(true)
    expect(allows(['1.2.3.4'], '[::ffff:1.2.3.4]:443')).toBe(true)
    expect(allows(['*.3.4'.replace('3.4', 'example')], '1.2.example:80')).toBe(true)
    for (const bad of ['*', '*.', 'a b', 'http://x', '*.1.2.3', '10.0.0', '1', 'x:', 'x:99999']) {
      expect(() => new EgressRules([bad]), bad).toThrow(/is no destination/)
    }
    expect(() => new EgressRules(Array(300).fill('a'))).toThrow(/at most 256/)
  })

  it('never allows a name that it does not hold, whatever it looks like', () => {
    const rules = new EgressRules(['only.example', '*.below.example'])
    fc.assert(
      fc.property(
        fc.string({ maxLength: 60 }),
        fc.integer({ min: 0, max: 70_000 }),
        (host, port) => {
          const destination = parseDestination(`${host}:${port}`)
          if (destination === undefined || !rules.allows(destination)) return true
          return destination.host === 'only.example' || destination.host.endsWith('.below.example')
        },
      ),
      { numRuns: 20_000 },
    )
  })
})

describe('an address', () => {
  const refused = [
    '0.0.0.0',
    '10.1.2.3',
    '100.100.100.200',
    '127.0.0.1',
    '127.255.1.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '192.0.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '168.63.129.16',
    '::',
    '::1',
    'fe80::1',
    'fc00::1',
    'fd00:ec2::254',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    '64:ff9b::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '2002:7f00:1::',
    '2001::1',
    'nonsense',
    '',
  ]
  it.for(refused)('%s is refused', (address) => {
    expect(new AddressPolicy().permits(address)).toBe(false)
  })

  it.for(['93.184.216.34', '8.8.8.8', '2606:2800:220:1:248:1893:25c8:1946'])(
    '%s is public',
    (address) => {
      expect(new AddressPolicy().permits(address)).toBe(true)
    },
  )

  it('may be allowed by the owner, by network and family', () => {
    const policy = new AddressPolicy(['10.1.0.0/16', 'fd00::/8'])
    expect(policy.permits('10.1.2.3')).toBe(true)
    expect(policy.permits('::ffff:10.1.2.3')).toBe(true)
    expect(policy.permits('fd00::1')).toBe(true)
    expect(policy.permits('10.2.0.1')).toBe(false)
    expect(policy.permits('127.0.0.1')).toBe(false)
    expect(() => new AddressPolicy(['10.0.0.0'])).toThrow(/is no network/)
  })
})
