import type { HostAttempt, UsageTotals } from '@manyhands/host'
import { expect, it } from 'vitest'
import { fakeHost } from '../../control/test/fake-host.ts'
import { cut, fittedTable } from '../src/fitted-table.ts'
import { attemptText } from '../src/owner/stats/attempt-view.ts'
import { statsText } from '../src/owner/stats/stats-view.ts'
import { bar, chart, sparkline } from '../src/owner/stats/text-graphics.ts'
import { totalsText } from '../src/owner/stats/totals-view.ts'

const { offer, attempt, sums } = fakeHost()
const terminal = (columns: number, rows = 24) => ({
  columns,
  rows,
  style: (_: unknown, text: string) => text,
})
const like = (id: string, cpu: number, more: Partial<HostAttempt> = {}) => ({
  attempt: { ...attempt, id, usage: { ...attempt.usage, cpu, elapsedMs: 61_000 }, ...more },
  cpus: [0, cpu / 2, cpu],
})
const scene = (...rows: ReturnType<typeof like>[]) => ({ offer, rows, totals: sums })

it('says what is used and free, then who uses most, then what there was in all', () => {
  const text = statsText(
    scene(like('aaaaaaaa1', 0.25), like('bbbbbbbb1', 0.75, { phase: 'paused', reason: 'a film' })),
    terminal(200),
  )
  expect(text.split('\n')).toEqual([
    'host 12D3KooFake: 1 running, 1 paused',
    'cpu 1.00 used, 3 free of 4 · memory 2.0 KiB used, 7.5 GiB free of 7.5 GiB · disk 0 B used, 46.6 GiB free of 46.6 GiB',
    '',
    expect.stringMatching(/^ATTEMPT +CPU +HISTORY +MEMORY +PEAK +LIMIT +PIDS .* PHASE$/),
    expect.stringMatching(/^bbbbbbbb +0\.75\/1 {2}█████· +▁▃▆ +1\.0 KiB .* paused \(a film\)$/),
    expect.stringMatching(
      /^aaaaaaaa +0\.25\/1 {2}██···· +▁▁▂ +1\.0 KiB .* 1m 1s .* demo +7 +running$/,
    ),
    'since 2026-01-01: 3 completed, 1 failed, 2 evicted · 0.001 core-hours · 10 B in, 20 B out · 1 client',
    'transfer 10 B received, 20 B sent · last 24 hours 1 B received, 2 B of 100 B sent',
  ])
})

it('fits every terminal, leaving out what is worth least', () => {
  const rows = scene(
    like('aaaaaaaa1', 0.25, {
      reason: 'the reason is a long one '.repeat(9),
      jobName: 'j'.repeat(99),
    }),
    like('bbbbbbbb1', 1, { phase: 'staging' }),
  )
  for (let columns = 20; columns < 240; columns += 3) {
    for (const line of statsText(rows, terminal(columns)).split('\n')) {
      expect(line.length, `${columns}: ${line}`).toBeLessThanOrEqual(columns)
    }
  }
  const narrow = statsText(rows, terminal(48))
  expect(narrow).toMatch(/^ATTEMPT +CPU +MEMORY +LIMIT +PHASE$/m)
  expect(statsText(rows, terminal(120))).toMatch(/HISTORY/)
})

it('fits the height, and says how many are left out', () => {
  const rows = scene(...Array.from({ length: 50 }, (_, index) => like(`attempt-${index}`, index)))
  const lines = statsText(rows, terminal(100, 20)).split('\n')
  expect(lines.length).toBeLessThan(20)
  expect(lines.at(-3)).toMatch(/^… and \d+ more that use less$/)
  expect(lines[4]).toMatch(/^attempt-49 /)
})

it('shows network and GPUs only where there are some', () => {
  const plain = statsText(scene(like('a', 1)), terminal(300))
  expect(plain).not.toMatch(/NET|GPU/)
  const usage = { ...attempt.usage, netIn: 1024, netOut: 2048, gpu: 0.5 }
  const text = statsText(scene(like('a', 1, { usage, gpuIds: ['GPU-1'] })), terminal(300))
  expect(text).toMatch(/NET IN\/OUT +GPU/)
  expect(text).toMatch(/1\.0 KiB\/2\.0 KiB +50 %/)
})

it('has something to say when nothing runs, and tells a drain', () => {
  const text = statsText({ ...scene(), offer: { ...offer, draining: true } }, terminal(80))
  expect(text).toContain('no attempts · draining, no new work')
  expect(text).toContain('nothing runs here')
})

it('lets no name of a peer move the cursor', () => {
  const jobName = '\x1b[2Jevil\nname'
  const text = statsText(scene(like('a\x1b[2J', 1, { jobName, task: '\r' })), terminal(250))
  for (const control of ['\r', '\x1b']) expect(text).not.toContain(control)
  expect(text.split('\n')).toHaveLength(7)
  const one = attemptText({ ...attempt, jobName, image: '\x07' }, [], terminal(100))
  for (const control of ['\x07', '\x1b']) expect(one).not.toContain(control)
})

it('tells attempts apart by as much of their ids as that needs', () => {
  const text = statsText(
    scene(like('same-beginning-1', 1), like('same-beginning-2', 2)),
    terminal(200),
  )
  expect(text).toMatch(/^same-beginning-2 /m)
  expect(text).toMatch(/^same-beginning-1 /m)
})

it('draws one attempt with its history', () => {
  const history = Array.from({ length: 120 }, (_, index) => ({
    ...attempt.usage,
    attempt: 'a1',
    client: 'c',
    job: 'j',
    elapsedMs: index * 1000,
    cpu: index < 60 ? 0 : 1,
  }))
  const text = attemptText(attempt, history, terminal(80))
  expect(text).toMatch(/^client +12D3KooClient$/m)
  expect(text).toMatch(/^processes +0 of 256$/m)
  expect(text).toMatch(/^cores, the last 1m 59s$/m)
  expect(text).toMatch(/^1\.0 │ +█+$/m)
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  expect(attemptText(attempt, history.slice(0, 1), terminal(80))).not.toContain('│')
})

it('sums up clients and jobs', () => {
  const text = totalsText(sums, 'client', terminal(160))
  expect(text).toMatch(/^CLIENT +LIVE +CPU +MEMORY +CORE-HOURS/)
  expect(text).toMatch(/^12D3KooClient|^…\w+ +1 +0\.50/m)
  expect(totalsText(sums, 'job', terminal(160))).toMatch(/^demo /m)
  const none: UsageTotals = {
    since: sums.since,
    clients: [],
    jobs: [],
    transfer: { sent: 0, received: 0, lastDay: { sent: 0, received: 0 }, daily: {}, peers: [] },
  }
  expect(totalsText(none, 'job', terminal(80))).toMatch(/^nobody has used this host since/)
  const many = { ...sums, clients: Array.from({ length: 40 }, () => sums.clients[0]!) }
  expect(totalsText(many, 'client', terminal(30), 12).split('\n')).toHaveLength(11)
})

it('draws bars, lines and charts within their bounds', () => {
  expect(bar(0.5, 4)).toBe('██··')
  expect([bar(-1, 2), bar(9, 2), bar(Number.NaN, 2)]).toEqual(['··', '██', '··'])
  expect(sparkline([0, 1, 2], 5, 2)).toBe('  ▁▄█')
  expect(sparkline([1, 1, 1, 4], 2, 1)).toBe('▂█')
  expect(sparkline([0, 0], 2, 0)).toBe('▁▁')
  const lines = chart([0, 1, 2], { width: 20, height: 2, most: 2, label: String })
  expect(lines).toEqual(['2 │  █', '0 │ ██'])
  // A peak among many samples is still there.
  const peak = Array.from({ length: 1000 }, (_, index) => (index === 500 ? 1 : 0))
  expect(chart(peak, { width: 13, height: 1, most: 1, label: () => '' })[0]).toContain('█')
})

it('cuts by characters, not by halves of them', () => {
  expect(cut('añ😀b', 3)).toBe('añ…')
  expect(cut('añ😀', 3)).toBe('añ😀')
  const columns = [{ title: 'A', worth: 1, cell: (row: string) => row }]
  expect(fittedTable(columns, ['😀'.repeat(9)], 4)).toEqual(['A', '😀😀😀…'])
})
