import { LIMITS, type SignedJobClaim } from '@manyhands/core'

/**
 * The claims by which a host knows whose a job is, the latest one of each. Keys of jobs cost nothing: who
 * claims many of them pushes out its own claims, never those of others.
 */
export class KeptClaims {
  /** By public key of the job, the oldest first. */
  readonly #claims = new Map<string, SignedJobClaim>()

  constructor(claims: Iterable<SignedJobClaim>) {
    for (const claim of claims) this.#claims.set(claim.owner, claim)
  }

  get(owner: string): SignedJobClaim | undefined {
    return this.#claims.get(owner)
  }

  /**
   * Keeps a claim in the place of that before.
   *
   * @param here - public keys of jobs of which something is at this host: claims to others go first
   * @returns public keys of jobs that are forgotten for it
   */
  keep(claim: SignedJobClaim, here: ReadonlySet<string>): string[] {
    this.#claims.delete(claim.owner)
    this.#claims.set(claim.owner, claim)
    const forgotten: string[] = []
    const forget = (client: string) => {
      const theirs = [...this.#claims.values()].filter((one) => one.client === client)
      const { owner } = theirs.find((one) => !here.has(one.owner)) ?? theirs[0]!
      this.#claims.delete(owner)
      forgotten.push(owner)
    }
    if (this.#counts().get(claim.client)! > LIMITS.jobsClaimedPerClient) forget(claim.client)
    while (this.#claims.size > LIMITS.jobsClaimed) forget(this.#greediest())
    return forgotten
  }

  #greediest(): string {
    const counts = [...this.#counts()]
    return counts.reduce((most, one) => (one[1] > most[1] ? one : most))[0]
  }

  #counts(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { client } of this.#claims.values())
      counts.set(client, (counts.get(client) ?? 0) + 1)
    return counts
  }
}
