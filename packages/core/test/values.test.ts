import { describe, expect, it } from 'vitest'
import { formatByteRate, parseByteRate } from '../src/byte-rate.ts'
import { formatByteSize, parseByteSize } from '../src/byte-size.ts'
import { formatDuration, parseDuration } from '../src/duration.ts'
import { ERRORS } from '../src/error-table.ts'
import { ManyhandsError, toManyhandsError } from '../src/errors.ts'
import {
  ATTEMPT_TRANSITIONS,
  assertTransition,
  isTerminal,
  JOB_TRANSITIONS,
  TASK_TRANSITIONS,
} from '../src/phases.ts'
import { firstShortage, resolveResources } from '../src/resources.ts'
import { range, sweep } from '../src/sweep.ts'
import { fillTemplate } from '../src/template.ts'

describe('durations and sizes', () => {
  it.each([
    [250, 250],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
  ])('reads the duration %j', (text, durationMs) => expect(parseDuration(text)).toBe(durationMs))

  it.each([-1, Number.NaN, '', '5', '5 parsecs', '-3s'])('refuses the duration %j', (text) => {
    expect(() => parseDuration(text, 'timeout')).toThrow(/timeout/)
  })

  it.each([
    [10, 10],
    ['512MiB', 512 * 1024 ** 2],
    ['1.5GB', 1.5e9],
    ['8g', 8 * 1024 ** 3],
    ['100', 100],
  ])('reads the size %j', (text, bytes) => expect(parseByteSize(text)).toBe(bytes))

  it.each([-1, '1 zebra', 'GiB', '9999999TiB'])('refuses the size %j', (text) => {
    expect(() => parseByteSize(text, 'memory')).toThrow(/memory/)
  })

  it.each([
    [10, 10],
    ['10MiB/s', 10 * 1024 ** 2],
    ['1.5 gb / s', 1.5e9],
    ['8B/s', 8],
    ['50Mbit/s', 6_250_000],
    ['9bit/s', 1],
  ])('reads the rate %j', (text, bytes) => expect(parseByteRate(text)).toBe(bytes))

  it.each([
    -1,
    Number.NaN,
    '10MiB',
    '10/s',
    '1 zebra/s',
    'MiB/s',
    '10MiB/s/s',
    '10MiB/h',
    '9e9TiB/s',
  ])('refuses the rate %j', (text) => {
    expect(() => parseByteRate(text, 'upload')).toThrow(/^upload: expected bytes per second/)
  })

  it('writes them for people', () => {
    expect(formatByteRate(1.5 * 1024 ** 2)).toBe('1.5 MiB/s')
    expect(formatDuration(80_000)).toBe('1m 20s')
    expect(formatByteSize(1.5 * 1024 ** 3)).toBe('1.5 GiB')
  })
})

describe('templates and sweeps', () => {
  it('fills items, fields and indexes, and nothing else', () => {
    expect(fillTemplate('{{item}}-{{index}}', 7, 2)).toBe('7-2')
    expect(fillTemplate('{{ item.a.b }}', { a: { b: 'x' } }, 0)).toBe('x')
    expect(fillTemplate('{{item}}', { a: 1 }, 0)).toBe('{"a":1}')
    expect(fillTemplate('$(rm -rf) {x}', 1, 0)).toBe('$(rm -rf) {x}')
  })

  it.each(['{{item.missing}}', '{{other}}', '{{item.constructor}}'])('refuses %s', (text) => {
    expect(() => fillTemplate(text, { a: 1 }, 0)).toThrow(/template/)
  })

  it('sweeps every combination, the last axis fastest', () => {
    expect([...sweep({ a: ['x', 'y'], b: range(1, 2) })]).toEqual([
      { a: 'x', b: 1 },
      { a: 'x', b: 2 },
      { a: 'y', b: 1 },
      { a: 'y', b: 2 },
    ])
    expect(() => range(1, 2, 0)).toThrow(/step/)
  })
})

describe('phases', () => {
  it.each([
    ['job', JOB_TRANSITIONS],
    ['task', TASK_TRANSITIONS],
    ['attempt', ATTEMPT_TRANSITIONS],
  ] as const)('%s: allows what the table has and throws for everything else', (kind, table) => {
    const phases = Object.keys(table) as (keyof typeof table)[]
    for (const from of phases) {
      for (const to of phases) {
        const step = () => assertTransition(kind, from, to, 'x')
        if ((table[from] as readonly string[]).includes(to)) expect(step).not.toThrow()
        else expect(step).toThrow(/cannot go/)
      }
    }
  })

  it('never leaves what completed, was canceled or was evicted', () => {
    for (const phase of ['completed', 'canceled'] as const) {
      expect(TASK_TRANSITIONS[phase]).toEqual([])
      expect(isTerminal(phase)).toBe(true)
    }
    expect(ATTEMPT_TRANSITIONS.evicted).toEqual([])
  })
})

describe('errors', () => {
  it('survive JSON with code, hint and details', () => {
    const error = new ManyhandsError('TASK_OOM', 'too big', { details: { task: '7' } })
    const back = ManyhandsError.fromJSON(JSON.parse(JSON.stringify(error)))
    expect(back).toMatchObject({
      code: 'TASK_OOM',
      message: 'too big',
      blame: 'task',
      details: { task: '7' },
    })
    expect(back.hint).toBe(ERRORS.TASK_OOM.hint)
  })

  it('take an unknown code from a newer peer as INTERNAL', () => {
    expect(ManyhandsError.fromJSON({ code: 'toString', message: 'x' }).code).toBe('INTERNAL')
  })

  it('tell a full disk apart from other causes', () => {
    const full = Object.assign(new Error('write'), { code: 'ENOSPC' })
    expect(toManyhandsError(full).code).toBe('DISK_FULL')
    expect(toManyhandsError('text', 'PEER_GONE')).toMatchObject({
      code: 'PEER_GONE',
      message: 'text',
    })
  })
})

describe('resources', () => {
  it('fills defaults in and finds the first shortage', () => {
    const wanted = resolveResources({ cpus: 2, memory: '1GiB' })
    expect(wanted).toMatchObject({ cpus: 2, memoryBytes: 1024 ** 3, gpus: 0 })
    expect(firstShortage(wanted, { ...wanted, memoryBytes: 5 })).toBe('memoryBytes')
    expect(firstShortage(wanted, wanted)).toBeUndefined()
  })
})
