import type { JobProgress, JobSummary } from '@manyhands/client'
import { ManyhandsError, type TaskResult } from '@manyhands/core'
import { expect, it } from 'vitest'
import { progressText, summaryText } from '../src/borrow/progress-bar.ts'
import { createOutput, formatOf, type OutputFormat } from '../src/output.ts'
import { formatTable, shortPeer } from '../src/table.ts'

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
