/** Checks that have to agree in a row before a host is only sampled. */
export const PROBATION = 10
/** Least share of its results that is checked then, where the job does not say another. */
export const SAMPLE = 0.03

/**
 * The share of a host's results that is checked.
 *
 * @param run - checks that have agreed in a row
 * @param sample - the least, 0 to 1
 */
export function checkRate(run: number, sample: number): number {
  return run < PROBATION ? 1 : Math.max(sample, 1 / run)
}

/**
 * What this client found out about hosts, over all of its jobs: how many of the last checks of each have
 * agreed in a row. Nobody else's word counts. Plain JSON by {@link toJSON}, so that it can be kept.
 */
export class HostStandings {
  readonly #listeners = new Set<(host: string) => void>()
  readonly #runs: Map<string, number>
  readonly #changed: (host: string, run: number) => void

  /** @param changed - is told what is to be kept */
  constructor(
    runs: Readonly<Record<string, number>> = {},
    changed: (host: string, run: number) => void = () => {},
  ) {
    this.#runs = new Map(Object.entries(runs))
    this.#changed = changed
  }

  /** Checks that have agreed in a row; 0 for a host that nobody knows. */
  run(host: string): number {
    return this.#runs.get(host) ?? 0
  }

  agreed(host: string): void {
    this.#runs.set(host, this.run(host) + 1)
    this.#changed(host, this.run(host))
  }

  /** It was found wrong: nothing that it did before counts. */
  mismatched(host: string): void {
    this.#runs.delete(host)
    this.#changed(host, 0)
    for (const tell of [...this.#listeners]) tell(host)
  }

  /** Is told of every host that was found wrong. Answers how to stop that. */
  onMismatch(listener: (host: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  toJSON(): Record<string, number> {
    return Object.fromEntries(this.#runs)
  }
}
