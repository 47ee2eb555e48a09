import { addResources, formatDuration, type Resources } from '@manyhands/core'
import { requestOf } from './admission-request.ts'
import { firstBroken } from './admission-rules.ts'
import { askOwner } from './ask-owner.ts'
import type { Attempt, EndIntent } from './attempt.ts'
import { type ImageNames, isImageId } from './image-names.ts'
import { usedUp } from './rules/quota-rules.ts'
import type { AdmissionState } from './rules/rule.ts'

/** Questions to the owner's function that are open at once while what runs is judged again. */
const ASKED_AT_ONCE = 16
/** What runs beyond the longest time by more than this was not ended by its sandbox, ms. */
const OVERTIME_MS = 5_000
/** Longest reason that is told to a client. */
const REASON_CHARACTERS = 1000

export interface PolicyEnforcerOptions {
  state: AdmissionState
  /** Attempts that are not over, oldest first. */
  live(): Attempt[]
  images: ImageNames
  end(attempts: Attempt[], intent: EndIntent): Promise<void>
}

/** Ends what the rules in force do not allow any more: after a change of them, and when something is used up. */
export class PolicyEnforcer {
  readonly #options: PolicyEnforcerOptions

  constructor(options: PolicyEnforcerOptions) {
    this.#options = options
  }

  /**
   * Judges all that runs again. Rules are applied one after the other; where a sum is too large, the
   * newest go first until it fits. Resolves when what is not allowed runs no more.
   *
   * @param options.admit - whether the owner's function is asked as well
   */
  async rejudge(options: { admit: boolean }): Promise<void> {
    await this.#nameImages()
    const broken = this.#broken()
    const ends = this.#end(broken, 'policy')
    if (options.admit) {
      const rest = this.#options.live().filter((attempt) => !broken.has(attempt))
      await Promise.all([ends, this.#end(await this.#unwanted(rest), 'policy')])
    }
    await ends
  }

  /** Ends what used up what it may: to be called every second. */
  async tick(): Promise<void> {
    const { live, state } = this.#options
    const spent = new Map<Attempt, string>()
    const clients = new Map<string, string | undefined>()
    const { maxRuntimeMs } = state.policy
    const late = new Map<Attempt, string>()
    for (const attempt of live()) {
      const { client, intent } = attempt
      if (intent !== undefined) continue
      if (!clients.has(client)) clients.set(client, usedUp(client, state))
      const reason = clients.get(client)
      if (reason !== undefined) spent.set(attempt, reason)
      // Its sandbox was told the longest time of the day on which it began.
      else if (attempt.runMs > maxRuntimeMs + OVERTIME_MS) {
        late.set(attempt, `maxRuntime: ran longer than ${formatDuration(maxRuntimeMs)}`)
      }
    }
    await Promise.all([this.#end(spent, 'quota'), this.#end(late, 'policy')])
  }

  /** What the owner calls images may have changed, too. */
  async #nameImages(): Promise<void> {
    const { live, images } = this.#options
    const named = Map.groupBy(
      live().filter(({ spec }) => isImageId(spec.image)),
      ({ spec }) => `${spec.runtime} ${spec.image}`,
    )
    for (const attempts of named.values()) {
      const names = await images.of(attempts[0]!.spec)
      for (const attempt of attempts) attempt.imageNames = names
    }
  }

  #broken(): Map<Attempt, string> {
    const { live, state } = this.#options
    const broken = new Map<Attempt, string>()
    for (const attempt of live()) {
      const request = {
        ...requestOf(attempt.client, attempt.spec, attempt.imageNames),
        resources: attempt.limits,
      }
      const verdict = firstBroken(request, state)
      if (verdict !== undefined) broken.set(attempt, `${verdict.rule}: ${verdict.detail}`)
    }
    this.#keepLentGpus(broken)
    const newestFirst = live().reverse()
    this.#fitShare(newestFirst, broken)
    this.#fitCounts(newestFirst, broken)
    return broken
  }

  /** A GPU that is lent no more leaves with the attempt that has it: it cannot be changed under it. */
  #keepLentGpus(broken: Map<Attempt, string>): void {
    const { live, state } = this.#options
    const lent = new Set(state.ledger.gpus.map(({ id }) => id))
    for (const attempt of live()) {
      const gone = state.ledger.gpuIdsOf(attempt.id).filter((id) => !lent.has(id))
      if (broken.has(attempt) || gone.length === 0) continue
      broken.set(attempt, `gpus: ${gone.join(', ')} lent no more`)
    }
  }

  /** The sum of what stays is within the share. */
  #fitShare(newestFirst: Attempt[], broken: Map<Attempt, string>): void {
    const { ledger } = this.#options.state
    let sum = ledger.reserved
    const give = (attempt: Attempt) => {
      const held = ledger.of(attempt.id)
      if (held !== undefined) sum = addResources(sum, held, -1)
    }
    for (const attempt of broken.keys()) give(attempt)
    for (const key of Object.keys(ledger.share) as (keyof Resources)[]) {
      for (const attempt of newestFirst) {
        // Fractions of cores add up with rounding errors; a thousandth of a core is nobody's.
        if (sum[key] <= ledger.share[key] + (key === 'cpus' ? 0.001 : 0)) break
        if (broken.has(attempt) || (ledger.of(attempt.id)?.[key] ?? 0) === 0) continue
        broken.set(
          attempt,
          `share: together they hold more ${key.replace('Bytes', '')} than is lent`,
        )
        give(attempt)
      }
    }
  }

  /** So is the number of attempts, of all and of each client, and each client's disk. */
  #fitCounts(newestFirst: Attempt[], broken: Map<Attempt, string>): void {
    const { policy, ledger, diskOf } = this.#options.state
    const staying = newestFirst.filter((attempt) => !broken.has(attempt))
    const evict = (from: Attempt[], excess: number, reason: string) => {
      for (const attempt of from.slice(0, Math.max(0, excess))) broken.set(attempt, reason)
    }
    const { maxAttempts } = policy
    evict(staying, staying.length - maxAttempts, `maxAttempts: more than ${maxAttempts} run`)
    for (const client of new Set(staying.map((attempt) => attempt.client))) {
      const own = staying.filter((attempt) => attempt.client === client && !broken.has(attempt))
      const { attempts, diskBytes } = policy.quotaOf(client)
      if (attempts !== undefined) {
        evict(
          own,
          own.length - attempts,
          `quotas.attempts: more than ${attempts} of the client run`,
        )
      }
      if (diskBytes === undefined) continue
      let disk = diskOf(client)
      for (const attempt of newestFirst) {
        if (attempt.client !== client) continue
        const held = ledger.of(attempt.id)?.diskBytes ?? 0
        if (broken.has(attempt)) disk -= held
      }
      for (const attempt of own) {
        if (disk <= diskBytes) break
        if (broken.has(attempt)) continue
        broken.set(attempt, `quotas.disk: together they hold more than ${diskBytes} bytes`)
        disk -= ledger.of(attempt.id)?.diskBytes ?? 0
      }
    }
  }

  /** Those to which the owner's own function says no. Attempts of one job mostly ask the same. */
  async #unwanted(attempts: Attempt[]): Promise<Map<Attempt, string>> {
    const { policy } = this.#options.state
    const asked = new Map<string, Attempt[]>()
    for (const attempt of attempts) {
      const { artifacts: _, ...wanted } = requestOf(
        attempt.client,
        attempt.spec,
        attempt.imageNames,
      )
      const key = JSON.stringify(wanted)
      asked.set(key, [...(asked.get(key) ?? []), attempt])
    }
    const unwanted = new Map<Attempt, string>()
    const questions = [...asked.values()]
    const ask = async () => {
      for (let same = questions.pop(); same !== undefined; same = questions.pop()) {
        const [first] = same as [Attempt]
        const verdict = await askOwner(
          requestOf(first.client, first.spec, first.imageNames),
          policy,
        )
        if (verdict === undefined) continue
        for (const attempt of same) unwanted.set(attempt, `admit: ${verdict.detail}`)
      }
    }
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask))
    return unwanted
  }

  /** Attempts that end for the same reason end together. */
  async #end(reasons: Map<Attempt, string>, kind: 'policy' | 'quota'): Promise<void> {
    const groups = Map.groupBy(reasons, ([, reason]) => reason)
    await Promise.all(
      [...groups].map(([reason, group]) =>
        this.#options.end(
          group.map(([attempt]) => attempt),
          {
            phase: 'evicted',
            by: 'host',
            reason: `${kind}: ${reason}`.slice(0, REASON_CHARACTERS),
          },
        ),
      ),
    )
  }
}
