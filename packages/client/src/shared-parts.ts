import {
  artifactPart,
  LIMITS,
  ManyhandsError,
  type Network,
  toManyhandsError,
  type WireInput,
} from '@manyhands/core'
import type { HeldManifests } from './held-manifests.ts'
import type { HostDirectory } from './host-directory.ts'
import type { ResultRow } from './journal/result-rows.ts'
import type { TakenInput } from './taken-input.ts'

export interface SharedPartsOptions {
  network: Network
  directory: HostDirectory
  manifests: HeldManifests
}

/** Parts of results that go from the host that made them to one that needs them. */
export class SharedParts {
  readonly #options: SharedPartsOptions

  constructor(options: SharedPartsOptions) {
    this.#options = options
  }

  /**
   * Tells hosts that another one may have parts of results that are there.
   *
   * @param rows - by task
   * @throws OUTPUT_MISSING when a task did not write what is taken of it
   */
  async share(
    away: TakenInput[],
    rows: ReadonlyMap<string, ResultRow>,
    to: string,
  ): Promise<{ named: Map<TakenInput, WireInput>; failed: Set<string> }> {
    const failed = new Set<string>()
    const named = new Map<TakenInput, WireInput>()
    const byHost = Map.groupBy(away, (one) => rows.get(one.task)!.held!.host)
    for (const [host, all] of byHost) {
      for (let at = 0; at < all.length; at += LIMITS.sharesPerCall) {
        const some = all.slice(at, at + LIMITS.sharesPerCall)
        try {
          const shared = await this.#shareAt(host, some, rows, to)
          for (const [n, one] of some.entries()) {
            const input = shared[n]
            if (input === undefined) failed.add(one.task)
            else named.set(one, input)
          }
        } catch (cause) {
          const error = toManyhandsError(cause)
          if (error.code === 'OUTPUT_MISSING') throw error
          for (const one of some) failed.add(one.task)
        }
      }
    }
    return { named, failed }
  }

  async #shareAt(
    host: string,
    some: TakenInput[],
    rows: ReadonlyMap<string, ResultRow>,
    to: string,
  ): Promise<(WireInput | undefined)[]> {
    const { network, directory, manifests } = this.#options
    const parts = some.map((one) => ({ id: rows.get(one.task)!.held!.attempt, path: one.from }))
    const timeoutMs = directory.link(host).leaseMs / 2
    const { roots } = await network.call(host, 'attempt.share', { peer: to, parts }, { timeoutMs })
    const addresses = directory.record(host)?.offer.addresses.slice(0, LIMITS.addressesPerPeer)
    const from = [{ peer: host, addresses: addresses ?? [] }]
    const inputs: (WireInput | undefined)[] = []
    for (const [n, one] of some.entries()) {
      // What it is called follows from what the host has signed for: its word is not needed.
      const whole = await manifests.inspect(rows.get(one.task)!.outputs!, host)
      const part = await artifactPart(whole, one.from)
      if (part === undefined) throw missingPart(one)
      const { root, size } = part
      inputs.push(roots[n] === root ? { path: one.path, root, bytes: size, from } : undefined)
    }
    return inputs
  }
}

export function missingPart({ task, from }: TakenInput): ManyhandsError {
  const path = from === '' ? '/out' : `/out/${from}`
  return new ManyhandsError(
    'OUTPUT_MISSING',
    `task ${task} completed without ${path}, which is taken of it`,
  )
}
