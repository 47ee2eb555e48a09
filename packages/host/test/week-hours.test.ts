import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseWeekHours } from '../src/week-hours.ts'

const NAMES = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** `'Mon 18:59'`. */
function at(text: string) {
  const [name, time] = text.split(' ') as [string, string]
  const [hours, minutes] = time.split(':').map(Number) as [number, number]
  return { day: NAMES.indexOf(name), minutes: hours * 60 + minutes }
}

const clock = (minutes: number) =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`

describe('parseWeekHours', () => {
  it.each([
    ['19:00-07:00', ['Mon 19:00', 'Tue 06:59', 'Sun 23:59'], ['Mon 07:00', 'Mon 18:59']],
    ['00:00-24:00', ['Sun 00:00', 'Wed 23:59'], []],
    ['22:00-24:00', ['Tue 22:00', 'Tue 23:59'], ['Wed 00:00', 'Tue 21:59']],
    ['22:00-00:00', ['Tue 22:00', 'Tue 23:59'], ['Wed 00:00', 'Tue 21:59']],
    // The night of Friday ends on Saturday; that of Sunday is not lent.
    ['Mon-Fri 19:00-07:00', ['Fri 23:00', 'Sat 06:59'], ['Sat 19:00', 'Mon 06:59', 'Sun 23:00']],
    ['Sat 22:00-02:00', ['Sat 22:00', 'Sun 01:59'], ['Sat 01:00', 'Sun 02:00', 'Sun 22:00']],
    [
      'Mon-Fri 19:00-07:00, Sat,Sun 00:00-24:00',
      ['Sat 12:00', 'Sun 12:00', 'Mon 19:00'],
      ['Mon 00:00', 'Mon 12:00', 'Fri 18:59'],
    ],
    ['Sat-Mon 10:00-11:00', ['Sat 10:00', 'Sun 10:30', 'Mon 10:59'], ['Fri 10:30', 'Tue 10:30']],
    ['Mon-Mon 10:00-11:00', ['Mon 10:00'], ['Tue 10:00', 'Sun 10:00']],
    ['Mon,Wed-Thu 8:00-9:00', ['Mon 08:00', 'Wed 08:00', 'Thu 08:00'], ['Tue 08:00', 'Fri 08:00']],
    // A second time belongs to the days before it, as shops write their hours.
    ['Mon 08:00-12:00, 13:00-17:00', ['Mon 08:00', 'Mon 13:00'], ['Mon 12:30', 'Tue 13:00']],
    ['monday–FRIDAY 08:00 – 09:00', ['Mon 08:00', 'Fri 08:59'], ['Sat 08:00']],
  ])('%s', (text, inside, outside) => {
    const hours = parseWeekHours(text)
    expect(hours.text).toBe(text)
    expect(inside.filter((time) => !hours.includes(at(time)))).toEqual([])
    expect(outside.filter((time) => hours.includes(at(time)))).toEqual([])
  })

  it.each([
    ['', 'between the commas'],
    ['Mon', 'a time after the days'],
    ['Mon 08:00-09:00, Tue', 'a time after the days'],
    ['08:00-09:00,', 'between the commas'],
    ['08:00-08:00', '00:00-24:00'],
    ['24:00-08:00', '23:59'],
    ['08:00-24:01', '24:01'],
    ['08:60-09:00', '08:60'],
    ['25:00-26:00', '25:00'],
    ['8-9', 'such as Mon, got "8"'],
    ['Mo 08:00-09:00', '"Mo"'],
    ['Mon-Wed-Fri 08:00-09:00', 'two days'],
    ['Mon to Fri 08:00-09:00', '"Mon to Fri"'],
    ['08:00-09:00 Mon', 'such as Mon'],
    ['08:00-09:00 10:00-11:00', 'such as Mon'],
    ['always', '"always"'],
    ['Mon 08:00-09:00; Tue 08:00-09:00', 'such as Mon'],
    ['x'.repeat(5000), 'longer'],
  ])('refuses %j and says what was expected', (text, message) => {
    expect(() => parseWeekHours(text, 'schedule.hours')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/^schedule\.hours: /),
        details: { field: 'schedule.hours' },
      }),
    )
    expect(() => parseWeekHours(text)).toThrow(message)
  })

  it('agrees with a week that is painted minute by minute', () => {
    const minute = fc.integer({ min: 0, max: 1440 })
    const entry = fc
      .record({ first: fc.integer({ min: 0, max: 6 }), more: fc.nat(6), from: minute, to: minute })
      .filter(({ from, to }) => from !== to && from < 1440)
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 4 }), (entries) => {
        const painted = new Uint8Array(7 * 1440)
        for (const { first, more, from, to } of entries) {
          const length = to > from ? to - from : to + 1440 - from
          for (let day = first; day <= first + more; day += 1) {
            for (let n = 0; n < length; n += 1) painted[(day * 1440 + from + n) % 10_080] = 1
          }
        }
        const text = entries
          .map(({ first, more, from, to }) => {
            const days = `${NAMES[first]}-${NAMES[(first + more) % 7]}`
            return `${days} ${clock(from)}-${clock(to)}`
          })
          .join(', ')
        const hours = parseWeekHours(text)
        const wrong = Array.from(painted.keys()).filter((n) => {
          const time = { day: Math.floor(n / 1440), minutes: n % 1440 }
          return hours.includes(time) !== (painted[n] === 1)
        })
        expect(wrong).toEqual([])
      }),
      { numRuns: 60 },
    )
  })
})
