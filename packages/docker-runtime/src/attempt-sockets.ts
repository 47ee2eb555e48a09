import { ManyhandsError, type RuntimeConnection, type RuntimeSpec } from '@manyhands/core'
import { Dialer } from './dial/dialer.ts'
import type { AddressPolicy } from './egress/address-policy.ts'
import { EgressProxy } from './egress/egress-proxy.ts'
import { EgressRules } from './egress/egress-rules.ts'

const PORTS_MAX = 64

/** What an attempt was granted of connections; kept in labels, for a process that comes later. */
export interface ConnectionGrant {
  /** The allow-list; undefined: no way out. */
  egress: string[] | undefined
  ports: number[]
}

/** @throws SPEC_INVALID for ports that are none and destinations that are none */
export function connectionGrant(spec: RuntimeSpec): ConnectionGrant {
  const ports: unknown = spec.ports ?? []
  if (!Array.isArray(ports) || ports.length > PORTS_MAX || !ports.every(isPort)) {
    throw new ManyhandsError('SPEC_INVALID', `ports: at most ${PORTS_MAX} numbers up to 65535`)
  }
  const profile: unknown = spec.networkProfile
  if (profile === 'none') return { egress: undefined, ports: [...ports] }
  const egress = (profile as { egress?: unknown } | null)?.egress
  if (!Array.isArray(egress)) {
    throw new ManyhandsError('SPEC_INVALID', 'networkProfile: none, or a list of destinations')
  }
  new EgressRules(egress)
  return { egress: [...egress], ports: [...ports] }
}

function isPort(port: unknown): port is number {
  return Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536
}

/** The host's ends of one container's connections: its way out, and ours in. */
export class AttemptSockets {
  readonly #proxy: EgressProxy | undefined
  readonly #dialer: Dialer | undefined

  private constructor(proxy: EgressProxy | undefined, dialer: Dialer | undefined) {
    this.#proxy = proxy
    this.#dialer = dialer
  }

  /** Listens in the attempt's directory, again after a restart. Nothing is opened for no grant. */
  static async open(
    directory: string,
    grant: ConnectionGrant,
    policy: AddressPolicy,
  ): Promise<AttemptSockets> {
    const proxy =
      grant.egress === undefined
        ? undefined
        : await EgressProxy.open(directory, grant.egress, policy)
    try {
      const dialer =
        grant.ports.length === 0 ? undefined : await Dialer.open(directory, grant.ports)
      return new AttemptSockets(proxy, dialer)
    } catch (error) {
      await proxy?.close()
      throw error
    }
  }

  /** Bytes that came from and went to destinations outside. */
  traffic(): { in: number; out: number } {
    return this.#proxy?.traffic() ?? { in: 0, out: 0 }
  }

  async dial(port: number, options: { signal?: AbortSignal }): Promise<RuntimeConnection> {
    if (this.#dialer === undefined) {
      throw new ManyhandsError('UNSUPPORTED', `port ${port} is not declared: no port is`)
    }
    return this.#dialer.dial(port, options)
  }

  async close(): Promise<void> {
    await Promise.all([this.#proxy?.close(), this.#dialer?.close()])
  }
}
