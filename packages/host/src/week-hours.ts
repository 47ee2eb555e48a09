import { ManyhandsError } from '@manyhands/core'

/** A minute of the week in local time, as a wall clock shows it: a change of summer time moves nothing. */
export interface WeekTime {
  /** 0 is Sunday. */
  day: number
  /** Since midnight. */
  minutes: number
}

/** Hours of the week, parsed from the owner's own words. */
export interface WeekHours {
  /** As the owner wrote them. */
  readonly text: string
  includes(time: WeekTime): boolean
}

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const DAY_MINUTES = 24 * 60
const EVERY_DAY = new Set(DAYS.keys())
/** Longest text, in characters: a range for every hour of the week. */
const TEXT_LENGTH = 4096

const TIME_RANGE = /^(.*?)\s*(\d{1,2}:\d{2})\s*[-–]\s*(\d{1,2}:\d{2})$/

interface Range {
  days: ReadonlySet<number>
  from: number
  /** Not after `from`: it ends on the next day. */
  to: number
}

/**
 * Reads hours such as `'19:00-07:00'` or `'Mon-Fri 19:00-07:00, Sat,Sun 00:00-24:00'`.
 *
 * Entries are separated by commas. Days are English, short or whole, alone or as a range, which may go
 * over the end of the week; an entry without days has those of the entry before it, the first one has
 * all. A range that ends before it begins goes on into the next day.
 *
 * @param field - where the text came from; the error names it
 * @throws CONFIG_INVALID saying what was expected and what came
 */
export function parseWeekHours(text: string, field = 'hours'): WeekHours {
  const fail = (what: string) =>
    new ManyhandsError('CONFIG_INVALID', `${field}: ${what}`, {
      details: { field },
      hint: "Write hours as '19:00-07:00' or 'Mon-Fri 19:00-07:00, Sat,Sun 00:00-24:00'.",
    })
  if (text.length > TEXT_LENGTH) throw fail(`longer than ${TEXT_LENGTH} characters`)
  const ranges: Range[] = []
  let days: ReadonlySet<number> = EVERY_DAY
  let listed: number[] = []
  for (const entry of text.split(',').map((part) => part.trim())) {
    const match = TIME_RANGE.exec(entry)
    const named = match === null ? entry : match[1]!
    if (named !== '') listed.push(...daysOf(named, fail))
    else if (match === null) throw fail('expected days or a range of time between the commas')
    if (match === null) continue
    // Days alone, as in `Sat,Sun 00:00-24:00`, wait for the time that follows them.
    if (listed.length > 0) days = new Set(listed)
    listed = []
    ranges.push({ days, ...timesOf(match[2]!, match[3]!, fail) })
  }
  if (listed.length > 0) throw fail(`expected a time after the days, such as ${text} 19:00-07:00`)
  return { text, includes: (time) => ranges.some((range) => includes(range, time)) }
}

type Fail = (what: string) => ManyhandsError

function includes({ days, from, to }: Range, { day, minutes }: WeekTime): boolean {
  if (from < to) return days.has(day) && from <= minutes && minutes < to
  const before = (day + 6) % 7
  return (days.has(day) && minutes >= from) || (days.has(before) && minutes < to)
}

function daysOf(text: string, fail: Fail): number[] {
  const ends = text.split(/[-–]/).map((name) => dayOf(name.trim(), fail))
  const [first, last = first] = ends as [number, number?]
  if (ends.length > 2) throw fail(`expected a range of two days, got ${text}`)
  const length = ((last - first + 7) % 7) + 1
  return Array.from({ length }, (_, n) => (first + n) % 7)
}

function dayOf(name: string, fail: Fail): number {
  const wanted = name.toLowerCase()
  const day = DAYS.findIndex((known) => known === wanted || known.slice(0, 3) === wanted)
  if (day < 0) throw fail(`expected a day such as Mon, got ${JSON.stringify(name)}`)
  return day
}

function timesOf(first: string, last: string, fail: Fail): { from: number; to: number } {
  const [from, to] = [minutesOf(first, fail), minutesOf(last, fail)]
  if (from === DAY_MINUTES) throw fail('a range begins at 23:59 at the latest')
  if (from === to) {
    throw fail(`${first}-${last} could be nothing or a day; write 00:00-24:00 for whole days`)
  }
  return { from, to }
}

function minutesOf(time: string, fail: Fail): number {
  const [hours, minutes] = time.split(':').map(Number) as [number, number]
  const total = hours * 60 + minutes
  if (minutes > 59 || total > DAY_MINUTES) throw fail(`${time} is no time of a day`)
  return total
}
