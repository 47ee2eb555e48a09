import type { ActiveTask, JobProgress, JobSummary } from '@manyhands/client'
import { ManyhandsError, type TaskResult } from '@manyhands/core'
import { expect, it } from 'vitest'
import { fakeHost } from '../../control/test/fake-host.ts'
import { progressText, summaryText } from '../src/borrow/progress-bar.ts'
import { createOutput, formatOf, type OutputFormat } from '../src/output.ts'
import { attemptTable } from '../src/owner/attempt-table.ts'
import { formatTable, shortPeer } from '../src/table.ts'
import { transferText } from '../src/transfer-text.ts'

function capture(format: OutputFormat, terminal = false, env: Record<string, string> = {}) {
  const written = { stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      written[name] += text
      return true
    },
    isTTY: terminal,
    columns: 60,
    hasColors: () => terminal,
    getColorDepth: () => (terminal ? 8 : 1),
  })
  const streams = { stdout: stream('stdout'), stderr: stream('stderr'), env }
  return { output: createOutput(streams as never, format), written }
}

const progress: JobProgress = {
  queued: 40,
  running: 10,
  completed: 48,
  failed: 2,
  canceled: 0,
  total: 100,
  unit: 'frame',
  rate: 3.25,
  bytesUp: 0,
  bytesDown: 0,
  rateUp: 0,
  rateDown: 0,
  phases: { image: 0, inputs: 0, running: 10, outputs: 0 },
  active: [],
  eta: 61_000,
}

it('draws progress within the terminal', () => {
  expect(progressText(progress, 4, 100)).toBe(
    '[###############---------------] 50/100 frames · 50 % · 2 failed · 3.3/s · 4 hosts · 1m 1s left',
  )
  for (const columns of [20, 40, 70, 80]) {
    expect(progressText(progress, 4, columns).length).toBeLessThan(columns)
  }
})

const waits = (task: string, host: string, of: Partial<ActiveTask>): ActiveTask => ({
  task,
  attempt: `${task}.1`,
  host,
  phase: 'inputs',
  ...of,
})

it('says what is transferred, once however many tasks wait for it', () => {
  const MIB = 1024 ** 2
  const active = [
    waits('1', 'a', { phase: 'image', bytes: 42 * MIB, total: 100 * MIB, rate: 120 * MIB }),
    waits('2', 'b', { bytes: 10 * MIB, total: 40 * MIB, rate: 5 * MIB }),
    waits('3', 'b', { bytes: 10 * MIB, total: 40 * MIB, rate: 5 * MIB }),
    waits('4', 'c', { bytes: 30 * MIB, total: 40 * MIB, rate: 3 * MIB }),
    // Its sandbox is being made: nothing travels for it.
    waits('5', 'd', {}),
    waits('6', 'd', { phase: 'outputs', bytes: 1024, rate: 0 }),
  ]
  const text = progressText({ ...progress, active }, 4, 200)
  expect(text).toContain(
    'image 42 % 120 MiB/s · inputs 50 % 2 hosts 8.0 MiB/s · outputs 1.0 KiB · 50/100 frames ·',
  )
})

it('says how long a transfer goes on while nobody knows that of the job', () => {
  const of = { total: 10, rate: 1 }
  const active = [
    waits('1', 'a', { ...of, bytes: 5, etaMs: 5000 }),
    waits('2', 'b', { ...of, bytes: 9, etaMs: 400 }),
  ]
  const unknown = { ...progress, active, eta: undefined }
  expect(progressText(unknown, 4, 200)).toContain('inputs 70 % 2 hosts 2 B/s 5s left · 50/100')
  expect(progressText({ ...unknown, active: active.slice(1) }, 4, 200)).toContain('1 B/s 1s left ·')
})

it('leaves out what is worth least where there is no room', () => {
  const active = [waits('1', 'a', { bytes: 5, total: 10, rate: 1 })]
  const text = (columns: number) => progressText({ ...progress, active }, 4, columns)
  expect(text(60)).toBe('inputs 50 % 1 B/s · 50/100 frames · 2 failed · 1m 1s left')
  expect(text(40)).toBe('50/100 frames · 2 failed · 1m 1s left')
  expect(text(20)).toBe('50/100 frames')
})

it('shows on a host what an attempt waits for', () => {
  const { attempt } = fakeHost()
  const transfer = { phase: 'inputs', bytes: 21, total: 50, rate: 10, etaMs: 2900 } as const
  const staged = { ...attempt, phase: 'staging', transfer } as const
  expect(attemptTable([staged])).toContain('staging (inputs 42 % of 50 B, 10 B/s, 3s left)')
  expect(transferText({ phase: 'image', bytes: 2048, rate: 0 })).toBe('image 2.0 KiB')
  expect(transferText({ phase: 'image', bytes: 0, total: 0, rate: 0, etaMs: 0 })).toBe(
    'image 100 % of 0 B',
  )
})

it('does not invent a share or an end', () => {
  const open = { ...progress, total: undefined, eta: undefined, rate: 0, failed: 0 }
  expect(progressText(open, 1, 100)).toBe('48 frames · 1 host')
})

it('lists failures with what to do, shortened, and without control characters of the task', () => {
  const { output } = capture('text')
  const summary: JobSummary = {
    id: 'j',
    name: 'n',
    phase: 'failed',
    counts: { queued: 0, running: 0, completed: 1, failed: 12, canceled: 0 },
    bytesUp: 0,
    bytesDown: 2048,
    durationMs: 65_000,
  }
  const failure = {
    key: 'a\x1b[2J',
    exitCode: 3,
    stderrTail: `${Array.from({ length: 9 }, (_, line) => `line ${line}`).join('\n')}\x07\n`,
    error: new ManyhandsError('TASK_FAILED', 'exit code 3').toJSON(),
  } as unknown as TaskResult
  const text = summaryText(
    summary,
    'frame',
    Array.from({ length: 10 }, () => failure),
    output,
  )
  expect(text).toContain('failed a·[2J: TASK_FAILED: exit code 3\n    line 4\n')
  expect(text).toContain('    line 8·\n    hint: Read stderrTail')
  expect(text).toContain('… and 2 more failed')
  expect(text).toMatch(
    /failed in 1m 5s: 1 frame completed, 12 failed, 0 B sent, 2\.0 KiB received$/,
  )
})

it('aligns tables, numbers to the right', () => {
  expect(
    formatTable(
      ['ID', 'PIDS', 'IMAGE'],
      [
        ['a', 7, 'x:1'],
        ['long', 123, 'y\x1b]0;evil\x07'],
      ],
    ),
  ).toBe('ID    PIDS  IMAGE\na        7  x:1\nlong   123  y·]0;evil·')
})

it('shortens peers so that they still differ', () => {
  expect(shortPeer('12D3KooWQQfmrVD54qXSjQFvQnds9eVBWRrUKzzU9XCErydkMkmq')).toBe('…rydkMkmq')
})

it('writes each form of output only where it belongs', () => {
  const say = (format: OutputFormat) => {
    const { output, written } = capture(format)
    output.event('e', { a: 1 })
    output.document({ b: 2 })
    output.data('c')
    output.say('d')
    output.draw('never without a terminal')
    return written
  }
  expect(say('text')).toEqual({ stdout: 'c\n', stderr: 'd\n' })
  expect(say('json')).toEqual({ stdout: '{\n  "b": 2\n}\n', stderr: 'd\n' })
  const { stdout, stderr } = say('jsonl')
  expect(JSON.parse(stdout)).toEqual({ v: 1, time: expect.any(String), event: 'e', a: 1 })
  expect(stderr).toBe('d\n')
})

it('colors a terminal only, and not where NO_COLOR is set', () => {
  const colored = (terminal: boolean, env: Record<string, string>) =>
    capture('text', terminal, env).output.style('red', 'x')
  expect(colored(true, {})).toBe('\x1b[31mx\x1b[39m')
  expect(colored(true, { NO_COLOR: '1' })).toBe('x')
  expect(colored(false, {})).toBe('x')
})

it('clears what was drawn before it writes anything else', () => {
  const { output, written } = capture('text', true)
  output.draw('two\nlines')
  output.data('result')
  expect(written).toEqual({
    stdout: 'result\n',
    stderr: '\x1b[?7ltwo\nlines\x1b[?7h\r\x1b[1A\x1b[J',
  })
  const dumb = capture('text', true, { TERM: 'dumb' })
  dumb.output.draw('x')
  expect(dumb.written.stderr).toBe('')
})

it('knows the format before the arguments are parsed', () => {
  expect(formatOf(['run', '--json'])).toBe('json')
  expect(formatOf(['run', '--jsonl', '--', 'x'])).toBe('jsonl')
  expect(formatOf(['run', '--', 'x', '--jsonl'])).toBe('text')
})
