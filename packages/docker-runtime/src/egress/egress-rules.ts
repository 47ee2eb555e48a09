import { domainToASCII } from 'node:url'
import { ManyhandsError } from '@manyhands/core'
import ipaddr from 'ipaddr.js'
import { EGRESS_LIMITS } from './egress-limits.ts'

const DEFAULT_PORTS = [80, 443]
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/
/** What resolvers read as a part of an address: `0x7f.1` is 127.0.0.1 to them. */
const NUMBER = /^(0x[0-9a-f]*|\d+)$/

interface Rule {
  /** A name, what follows `*`, or an address in its normal form. */
  host: string
  wildcard: boolean
  ports: number[]
}

/** Where a task wants to go, in normal form. */
export interface Destination {
  /** A name in lower case, or an address. */
  host: string
  port: number
  /** Whether `host` is an address. */
  literal: boolean
}

/** An allow-list: `host`, `*.host` (any depth below, not itself), `host:port`; ports 80 and 443 else. */
export class EgressRules {
  readonly #rules: Rule[]

  /** @throws SPEC_INVALID naming the entry that is none */
  constructor(entries: string[]) {
    if (!Array.isArray(entries) || entries.length > EGRESS_LIMITS.entries) {
      throw new ManyhandsError(
        'SPEC_INVALID',
        `networkProfile.egress: at most ${EGRESS_LIMITS.entries} entries`,
      )
    }
    this.#rules = entries.map(parseRule)
  }

  allows({ host, port }: Destination): boolean {
    return this.#rules.some(
      (rule) =>
        rule.ports.includes(port) &&
        (rule.wildcard ? host.endsWith(rule.host) : host === rule.host),
    )
  }
}

/** `host:port` of a request; undefined for what names no destination. */
export function parseDestination(authority: string, defaultPort?: number): Destination | undefined {
  const parts = split(authority)
  const port = parts?.port ?? defaultPort
  if (parts === undefined || port === undefined) return undefined
  const literal = address(parts.host)
  const host = literal ?? name(parts.host)
  return host === undefined ? undefined : { host, port, literal: literal !== undefined }
}

function parseRule(entry: string): Rule {
  const parts = typeof entry === 'string' ? split(entry) : undefined
  const wildcard = parts?.host.startsWith('*.') === true
  const bare = wildcard ? parts.host.slice(2) : parts?.host
  const host =
    bare === undefined ? undefined : ((wildcard ? undefined : address(bare)) ?? name(bare))
  if (parts === undefined || host === undefined) {
    const shown = JSON.stringify(String(entry).slice(0, 80))
    throw new ManyhandsError('SPEC_INVALID', `networkProfile.egress: ${shown} is no destination`, {
      hint: 'Write host, *.host or host:port.',
    })
  }
  const ports = parts.port === undefined ? DEFAULT_PORTS : [parts.port]
  return { host: wildcard ? `.${host}` : host, wildcard, ports }
}

function split(text: string): { host: string; port: number | undefined } | undefined {
  const match = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text)
  if (match !== null) {
    const port = match[2] === undefined ? undefined : Number(match[2])
    if (port !== undefined && (port < 1 || port > 65_535)) return undefined
    return { host: match[1]!.replace(/^\[|\]$/g, ''), port }
  }
  // An IPv6 address may stand without brackets where no port follows.
  return ipaddr.IPv6.isValid(text) ? { host: text, port: undefined } : undefined
}

function address(host: string): string | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(host)) return ipaddr.IPv4.parse(host).toString()
  if (!host.includes('%') && ipaddr.IPv6.isValid(host)) return ipaddr.process(host).toString()
  return undefined
}

function name(host: string): string | undefined {
  const ascii = domainToASCII(host.replace(/\.$/, ''))
  const labels = ascii.split('.')
  if (ascii === '' || ascii.length > 253 || NUMBER.test(labels.at(-1)!)) return undefined
  return labels.every((label) => LABEL.test(label)) ? ascii : undefined
}
