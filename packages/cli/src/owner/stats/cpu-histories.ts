import type { ControlClient } from '@manyhands/control/client'
import type { HostAttempt } from '@manyhands/host'

/** Samples kept of an attempt: more than a line shows. */
const KEPT = 32
/** Attempts whose past is asked for when they are first seen; the others begin with now. */
const ASKED = 64

/** The cores that attempts used lately, from what the host remembers and what was seen since. */
export class CpuHistories {
  #known = new Map<string, number[]>()

  /** Takes a look into account. Attempts that are gone are forgotten. */
  async see(control: ControlClient, attempts: HostAttempt[], signal: AbortSignal): Promise<void> {
    const fresh = attempts.filter(({ id }) => !this.#known.has(id)).slice(0, ASKED)
    const pasts = await Promise.all(
      fresh.map(async ({ id }) => {
        // It may have been forgotten between the two questions.
        const samples = await control.history(id, { signal }).catch(() => [])
        return [id, samples.slice(-KEPT).map(({ cpu }) => cpu)] as const
      }),
    )
    const past = new Map(pasts)
    this.#known = new Map(
      attempts.map(({ id, usage }) => {
        const before = this.#known.get(id)
        const values = before ?? past.get(id) ?? []
        return [
          id,
          before === undefined && values.length > 0 ? values : [...values, usage.cpu].slice(-KEPT),
        ]
      }),
    )
  }

  of(id: string): number[] {
    return this.#known.get(id) ?? []
  }
}
