import { LIMITS } from '../../limits.ts'
import type { Offence } from './offences.ts'

/** For how long somebody is refused: the first time, and at most, ms. */
export interface BanTimes {
  firstMs: number
  longestMs: number
}

export interface StandingsOptions {
  /** Points at which somebody is banned. */
  banPoints: number
  times: (who: string) => BanTimes
  /** Monotonic, ms. */
  now: () => number
}

interface Standing {
  points: number
  /** When `points` were right. */
  at: number
  /** The last offence that counted. */
  offence: Offence
  bans: number
  bannedUntil: number
}

/** One who is refused for a while. */
export interface StandingBan {
  who: string
  offence: Offence
  /** How often it was banned, this time counted. */
  times: number
  /** For how much longer, ms. */
  leftMs: number
}

/**
 * What is held against whom. Points fade; who reaches too many is banned, each time for twice as long as
 * the time before. A good while without another ban, and the next is a first one again. The table is
 * bounded: of those that are not banned, whoever was heard of longest ago is forgotten.
 */
export class Standings {
  readonly #options: StandingsOptions
  readonly #table = new Map<string, Standing>()

  constructor(options: StandingsOptions) {
    this.#options = options
  }

  /** Adds points. The ban, when these were too many. */
  add(who: string, points: number, offence: Offence): StandingBan | undefined {
    const now = this.#options.now()
    const standing = this.#standing(who, now)
    // What still comes of one who is refused already is the same affair.
    if (standing.bannedUntil > now) return undefined
    standing.points = faded(standing, now) + points
    standing.at = now
    standing.offence = offence
    if (standing.points < this.#options.banPoints) return undefined
    const { firstMs, longestMs } = this.#options.times(who)
    // Long ago is no matter any more.
    if (now - standing.bannedUntil > LIMITS.banForgottenMs) standing.bans = 0
    standing.bans += 1
    standing.points = 0
    standing.bannedUntil = now + Math.min(longestMs, firstMs * 2 ** (standing.bans - 1))
    return banOf(who, standing, now)
  }

  points(who: string): number {
    const standing = this.#table.get(who)
    return standing === undefined ? 0 : faded(standing, this.#options.now())
  }

  banned(who: string): boolean {
    const standing = this.#table.get(who)
    return standing !== undefined && standing.bannedUntil > this.#options.now()
  }

  bans(): StandingBan[] {
    const now = this.#options.now()
    return [...this.#table]
      .filter(([, { bannedUntil }]) => bannedUntil > now)
      .map(([who, standing]) => banOf(who, standing, now))
  }

  forgive(who: string): void {
    this.#table.delete(who)
  }

  #standing(who: string, now: number): Standing {
    const known = this.#table.get(who)
    // At its end: the first of the table is whoever was heard of longest ago.
    this.#table.delete(who)
    const fresh = { points: 0, at: now, offence: 'cut' as const, bans: 0, bannedUntil: -Infinity }
    const standing: Standing = known ?? fresh
    this.#table.set(who, standing)
    if (this.#table.size > LIMITS.standings) this.#forgetOne(now)
    return standing
  }

  #forgetOne(now: number): void {
    let oldest: string | undefined
    for (const [who, { bannedUntil }] of this.#table) {
      oldest ??= who
      if (bannedUntil > now) continue
      this.#table.delete(who)
      return
    }
    if (oldest !== undefined) this.#table.delete(oldest)
  }
}

function faded({ points, at }: Standing, now: number): number {
  return points * 2 ** (-(now - at) / LIMITS.offenceHalfLifeMs)
}

function banOf(who: string, { offence, bans, bannedUntil }: Standing, now: number): StandingBan {
  return { who, offence, times: bans, leftMs: Math.max(0, bannedUntil - now) }
}
