import { LIMITS } from '@manyhands/core'
import { type Apart, type HostOrigin, independent } from './independence.ts'

/** One result of a task that is checked. */
export interface CheckedResult {
  /** Id of the attempt. */
  id: string
  host: HostOrigin
}

/** How two of them compare: how far apart they are, `false` when they are not the same. */
export interface ComparedPair {
  a: string
  b: string
  distance: number | false
}

/** What is known of one task that is checked. Plain JSON; every function here returns a new one. */
export interface Agreement {
  /** Results that have to agree. */
  wanted: number
  apart?: Apart
  /** In the order in which they came, each of a host that is independent of all before it. */
  results: CheckedResult[]
  pairs: ComparedPair[]
}

/** What is to be done next for it. */
export type AgreementStep =
  /** These are to be compared. */
  | { step: 'compare'; pairs: [string, string][] }
  /** So many more hosts are to be asked, each independent of all that were. */
  | { step: 'ask'; count: number }
  /** It is over: this result counts. `wrong` are those that are not the same as it. */
  | { step: 'accept'; accepted: string; agreed: string[]; wrong: string[] }
  /** It is over: as many hosts as may be asked do not agree. Nobody is known to be wrong. */
  | { step: 'disputed'; results: string[] }

/** @param wanted - results that have to agree, 2 to `LIMITS.resultsCompared` */
export function openAgreement(wanted: number, apart?: Apart): Agreement {
  return { wanted, results: [], pairs: [], ...(apart === undefined ? {} : { apart }) }
}

/** Whether a host may give one more result. */
export function mayJudge({ results, apart }: Agreement, host: HostOrigin): boolean {
  return results.every((result) => independent(result.host, host, apart))
}

/** With another result; unchanged where its host is not independent of those that were asked, or is one too many. */
export function withResult(agreement: Agreement, result: CheckedResult): Agreement {
  const { results } = agreement
  if (results.length >= LIMITS.resultsCompared || !mayJudge(agreement, result.host))
    return agreement
  return { ...agreement, results: [...results, result] }
}

/** Without the results of some hosts: their word counts for nothing. */
export function withoutHosts(agreement: Agreement, which: (peer: string) => boolean): Agreement {
  if (!agreement.results.some(({ host }) => which(host.peer))) return agreement
  const results = agreement.results.filter(({ host }) => !which(host.peer))
  const ids = new Set(results.map(({ id }) => id))
  return {
    ...agreement,
    results,
    pairs: agreement.pairs.filter(({ a, b }) => ids.has(a) && ids.has(b)),
  }
}

/** With what a comparator said of two results. */
export function withComparison(agreement: Agreement, pair: ComparedPair): Agreement {
  const ids = agreement.results.map(({ id }) => id)
  if (pair.a === pair.b || !ids.includes(pair.a) || !ids.includes(pair.b)) return agreement
  if (distanceOf(agreement, pair.a, pair.b) !== undefined) return agreement
  return { ...agreement, pairs: [...agreement.pairs, pair] }
}

/**
 * What follows. To be the same is not transitive where there are tolerances: results agree when each is the
 * same as each, as many as are wanted and more than half of all. The one nearest to the others counts.
 */
export function nextStep(agreement: Agreement): AgreementStep {
  const { wanted, results } = agreement
  const ids = results.map(({ id }) => id)
  if (ids.length < wanted) return { step: 'ask', count: wanted - ids.length }
  const pairs = pairsOf(ids).filter(([a, b]) => distanceOf(agreement, a, b) === undefined)
  if (pairs.length > 0) return { step: 'compare', pairs }
  const needed = Math.max(wanted, Math.floor(ids.length / 2) + 1)
  const clique = bestClique(agreement, ids, needed)
  if (clique !== undefined) {
    const accepted = medoid(agreement, clique, ids)
    const agreed = ids.filter((id) => same(agreement, accepted, id))
    return { step: 'accept', accepted, agreed, wrong: ids.filter((id) => !agreed.includes(id)) }
  }
  if (ids.length < LIMITS.resultsCompared) return { step: 'ask', count: 1 }
  return { step: 'disputed', results: ids }
}

function pairsOf(ids: string[]): [string, string][] {
  return ids.flatMap((a, at) => ids.slice(at + 1).map((b): [string, string] => [a, b]))
}

function distanceOf({ pairs }: Agreement, a: string, b: string): number | false | undefined {
  if (a === b) return 0
  return pairs.find((pair) => (pair.a === a && pair.b === b) || (pair.a === b && pair.b === a))
    ?.distance
}

function same(agreement: Agreement, a: string, b: string): boolean {
  return typeof distanceOf(agreement, a, b) === 'number'
}

/** The largest set of results that are all the same, of several the closest one. */
function bestClique(agreement: Agreement, ids: string[], needed: number): string[] | undefined {
  let best: { members: string[]; spread: number } | undefined
  // At most 2⁵ sets.
  for (let set = 1; set < 2 ** ids.length; set += 1) {
    const members = ids.filter((_, at) => (set & (1 << at)) !== 0)
    if (members.length < needed) continue
    const pairs = pairsOf(members)
    if (!pairs.every(([a, b]) => same(agreement, a, b))) continue
    const spread = pairs.reduce((sum, [a, b]) => sum + (distanceOf(agreement, a, b) || 0), 0)
    const larger = best === undefined || members.length > best.members.length
    if (larger || (members.length === best!.members.length && spread < best!.spread)) {
      best = { members, spread }
    }
  }
  return best?.members
}

/** Of several that are as near: the one that is the same as most of all results, then the first. */
function medoid(agreement: Agreement, clique: string[], ids: string[]): string {
  const ranked = clique.map((id) => ({
    id,
    far: clique.reduce((sum, other) => sum + (distanceOf(agreement, id, other) || 0), 0),
    alike: ids.filter((other) => same(agreement, id, other)).length,
  }))
  ranked.sort((a, b) => a.far - b.far || b.alike - a.alike)
  return ranked[0]!.id
}
