import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { ManyhandsError, toManyhandsError } from '../../errors.ts'
import { REACH, reachOf } from '../host-reach.ts'
import type { Logger } from '../network.ts'
import { Gateway, type MappedPort, REFUSAL, refusalOf } from './gateway.ts'
import { localAddresses, searchGateways } from './gateway-search.ts'
import { MAPPING } from './mapping-limits.ts'
import type { PortMapping } from './port-mapping.ts'

/** What of a node's parts is used here, beyond what libp2p shows. */
export interface PortMapperParts {
  transportManager: { getAddrs(): Multiaddr[] }
  addressManager: {
    addPublicAddressMapping(
      internalHost: string,
      internalPort: number,
      externalHost: string,
      externalPort: number,
    ): void
    removePublicAddressMapping(
      internalHost: string,
      internalPort: number,
      externalHost: string,
      externalPort: number,
    ): void
    confirmObservedAddr(address: Multiaddr, options: { ttl: number }): void
  }
}

export interface PortMapperOptions {
  renewMs: number
  logger?: Logger
}

interface Mapping extends MappedPort {
  gateway: Gateway
  externalHost: string
}

/** What a node is told for as long as it lives: the mapping ends when we say so. */
const FOR_EVER = Number.MAX_SAFE_INTEGER / 2

/**
 * Has the router pass on our TCP ports (UPnP), looks again at every renewal, and takes the mappings back at the
 * end. A service of the node, which starts and stops it.
 */
export class PortMapper {
  readonly #parts: PortMapperParts
  readonly #options: PortMapperOptions
  readonly #stop = new AbortController()
  readonly #mappings = new Map<number, Mapping>()
  #running: Promise<void> = Promise.resolve()
  #found: PortMapping = { state: 'searching', outside: [] }

  constructor(parts: PortMapperParts, options: PortMapperOptions) {
    this.#parts = parts
    this.#options = options
  }

  get found(): PortMapping {
    return this.#found
  }

  start(): void {}

  /** Listening has begun; nobody waits for the router. */
  afterStart(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
    const signal = AbortSignal.timeout(MAPPING.removeMs)
    await Promise.all(
      [...this.#mappings.values()].map(async (mapping) => {
        this.#forget(mapping)
        await mapping.gateway.unmap(mapping.externalPort, signal)
      }),
    ).catch((error) => {
      this.#options.logger?.debug('a mapped port stays until its lease is over', { error })
    })
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#round(signal)
      } catch (thrown) {
        if (signal.aborted) return
        const { message } = toManyhandsError(thrown)
        for (const mapping of [...this.#mappings.values()]) this.#forget(mapping)
        this.#found = { state: 'none', outside: [], reason: message }
        this.#options.logger?.debug('no port is mapped', { reason: message })
      }
      await delay(this.#options.renewMs, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  /** The router: the one that did it before, else the first that can. @throws why there is none */
  async #gateway(signal: AbortSignal): Promise<Gateway> {
    const known = this.#mappings.values().next().value?.gateway
    if (known !== undefined) return known
    if (localAddresses().length === 0) throw unmappable('this computer is not behind a router')
    let failure: unknown
    for await (const found of searchGateways(signal)) {
      try {
        return await Gateway.open(found, signal)
      } catch (error) {
        failure = error
      }
    }
    signal.throwIfAborted()
    throw failure ?? unmappable('no router answers: it has no UPnP, or it is switched off there')
  }

  /** TCP ports of ours that can be reached from the router. */
  #ports(localAddress: string): number[] {
    const ports = this.#parts.transportManager.getAddrs().flatMap((address) => {
      const [host, port] = address.getComponents()
      return host?.value === localAddress && port?.name === 'tcp' ? [Number(port.value)] : []
    })
    return [...new Set(ports)].slice(0, MAPPING.ports)
  }

  /** Maps what we listen on, or renews it. @throws why not */
  async #round(signal: AbortSignal): Promise<void> {
    const gateway = await this.#gateway(signal)
    const externalHost = await gateway.externalAddress(signal)
    if (reachOf(externalHost) !== REACH.world) {
      throw unmappable(
        `the router at ${gateway.host} is itself behind another one (it is ${externalHost} outside)`,
      )
    }
    const ports = this.#ports(gateway.localAddress)
    if (ports.length === 0) {
      throw unmappable(`nothing listens on ${gateway.localAddress}, the router's side`)
    }
    let failure: unknown
    for (const port of ports) {
      try {
        await this.#map(gateway, externalHost, port, signal)
      } catch (error) {
        failure = error
        const mapping = this.#mappings.get(port)
        if (mapping !== undefined) this.#forget(mapping)
      }
    }
    if (this.#mappings.size === 0) throw failure
    const outside = [...this.#mappings.values()].map(
      (each) => `${each.externalHost}:${each.externalPort}`,
    )
    this.#found = { state: 'mapped', outside }
  }

  async #map(
    gateway: Gateway,
    externalHost: string,
    internalPort: number,
    signal: AbortSignal,
  ): Promise<void> {
    const known = this.#mappings.get(internalPort)
    let externalPort = known?.externalPort ?? internalPort
    let leaseSeconds = Math.ceil((this.#options.renewMs * MAPPING.leasePeriods) / 1000)
    for (let tries = 0; ; tries += 1) {
      try {
        await gateway.map({ externalPort, internalPort, leaseSeconds }, signal)
        break
      } catch (error) {
        const code = refusalOf(error)
        if (tries >= MAPPING.otherPorts) throw error
        if (code === REFUSAL.onlyPermanent) leaseSeconds = 0
        else if (code === REFUSAL.taken) externalPort = randomInt(1024, 65_536)
        else throw error
      }
    }
    const same = known?.externalPort === externalPort && known.externalHost === externalHost
    if (known !== undefined && !same) this.#forget(known)
    const mapped = { externalPort, internalPort, leaseSeconds }
    this.#mappings.set(internalPort, { gateway, externalHost, ...mapped })
    if (!same) this.#announce(gateway.localAddress, internalPort, externalHost, externalPort)
  }

  #announce(
    internalHost: string,
    internalPort: number,
    externalHost: string,
    externalPort: number,
  ): void {
    const { addressManager } = this.#parts
    addressManager.addPublicAddressMapping(internalHost, internalPort, externalHost, externalPort)
    const address = multiaddr(`/ip4/${externalHost}/tcp/${externalPort}`)
    addressManager.confirmObservedAddr(address, { ttl: FOR_EVER })
  }

  #forget(mapping: Mapping): void {
    const { gateway, internalPort, externalHost, externalPort } = mapping
    this.#mappings.delete(internalPort)
    const { addressManager } = this.#parts
    const internalHost = gateway.localAddress
    addressManager.removePublicAddressMapping(
      internalHost,
      internalPort,
      externalHost,
      externalPort,
    )
  }
}

function unmappable(why: string): ManyhandsError {
  return new ManyhandsError('CONNECT_FAILED', why)
}
