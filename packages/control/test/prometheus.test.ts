import parsePrometheusTextFormat from 'parse-prometheus-text-format'
import { beforeEach, expect, it } from 'vitest'
import { createControlClient, createControlServer } from '../src/index.ts'
import { prometheusText } from '../src/prometheus.ts'
import { type FakeHost, fakeHost } from './fake-host.ts'
import { readPrometheus } from './prometheus-reader.ts'

let host: FakeHost
beforeEach(() => {
  host = fakeHost()
})
const read = () => readPrometheus(prometheusText(host, '1.2.3'))
const values = (name: string) => read().get(`manyhands_${name}`)?.series

it('tells of the host: share, free, use and phases', () => {
  expect(values('info')).toEqual([{ labels: { peer_id: host.peerId, version: '1.2.3' }, value: 1 }])
  expect(values('share_cpus')).toEqual([{ labels: {}, value: 4 }])
  expect(values('free_cpus')).toEqual([{ labels: {}, value: 3 }])
  expect(values('used_cpus')).toEqual([{ labels: {}, value: 0.5 }])
  expect(values('used_memory_bytes')).toEqual([{ labels: {}, value: 1024 }])
  expect(values('draining')).toEqual([{ labels: {}, value: 0 }])
  expect(values('attempts')).toContainEqual({ labels: { phase: 'running' }, value: 1 })
  expect(values('attempts')).toContainEqual({ labels: { phase: 'paused' }, value: 0 })
})

it('tells of every attempt that lives, with whose it is', () => {
  host.attempt.usage = { ...host.attempt.usage, memoryPeak: 2048, pids: 3, netIn: 5, cpuMs: 1500 }
  const labels = { attempt: 'a1', client: '12D3KooClient', job: 'j1' }
  for (const [name, value] of Object.entries({
    cpus: 0.5,
    limit_cpus: 1,
    memory_bytes: 1024,
    memory_peak_bytes: 2048,
    pids: 3,
    disk_bytes: 0,
    received_bytes_total: 5,
    sent_bytes_total: 0,
    cpu_seconds_total: 1.5,
  })) {
    expect(values(`attempt_${name}`), name).toEqual([{ labels, value }])
  }
  expect(values('attempt_gpu_ratio')).toBeUndefined()
  host.attempt.usage = { ...host.attempt.usage, gpu: 0.25 }
  expect(values('attempt_gpu_ratio')).toEqual([{ labels, value: 0.25 }])
  host.attempt.phase = 'completed'
  expect(values('attempt_cpus')).toBeUndefined()
})

it('counts by client and by job, and how attempts ended', () => {
  const client = { client: '12D3KooClient' }
  const job = { ...client, job: 'j1', name: 'demo' }
  expect(values('client_cpu_seconds_total')).toEqual([{ labels: client, value: 4.5 }])
  expect(values('client_run_seconds_total')).toEqual([{ labels: client, value: 9 }])
  expect(values('job_received_bytes_total')).toEqual([{ labels: job, value: 10 }])
  expect(values('job_sent_bytes_total')).toEqual([{ labels: job, value: 20 }])
  expect(values('job_attempts')).toEqual([{ labels: job, value: 1 }])
  const evicted = { phase: 'evicted' }
  expect(values('attempts_ended_total')).toContainEqual({ labels: evicted, value: 2 })
  expect(values('client_attempts_ended_total')).toContainEqual({
    labels: { ...client, ...evicted },
    value: 2,
  })
})

it('tells what was sent and received, of whom, and how the quota of a day stands', () => {
  const up = { direction: 'up' }
  const down = { direction: 'down' }
  const peer = '12D3KooClient'
  expect(values('transfer_bytes_total')).toEqual([
    { labels: up, value: 20 },
    { labels: down, value: 10 },
  ])
  expect(values('transfer_peer_bytes_total')).toEqual([
    { labels: { peer, ...up }, value: 20 },
    { labels: { peer, ...down }, value: 10 },
  ])
  expect(values('transfer_day_bytes')).toEqual([
    { labels: up, value: 2 },
    { labels: down, value: 1 },
  ])
  expect(values('transfer_day_limit_bytes')).toEqual([{ labels: up, value: 100 }])
})

it('types counters and gauges, and explains each', () => {
  for (const [name, { type, help, series }] of read()) {
    expect(type, name).toBe(name.endsWith('_total') ? 'counter' : 'gauge')
    expect(help, name).toMatch(/\.$/)
    expect(series.length, name).toBeGreaterThan(0)
  }
})

it('lets no name of a peer break out of its label', () => {
  const names = ['a"} 1\nmanyhands_evil 1', '\\', '\\n', 'ü"', '\ud800', 'x'.repeat(5000)]
  host.sums.jobs = names.map((jobName, index) => ({
    ...host.sums.jobs[0]!,
    job: `j${index}`,
    jobName,
  }))
  expect(read().has('manyhands_evil')).toBe(false)
  const read_ = values('job_attempts')!.map(({ labels }) => labels['name'])
  expect(read_).toEqual([...names.slice(0, 4), '\ufffd', 'x'.repeat(128)])
})

it('bounds the number of series, and says how many it left out', () => {
  const many = Array.from({ length: 1000 }, (_, index) => ({
    ...host.sums.clients[0]!,
    client: `c${index}`,
  }))
  host.sums.clients = many
  expect(values('client_cpus')).toHaveLength(256)
  expect(values('series_omitted')).toContainEqual({ labels: { of: 'clients' }, value: 744 })
  expect(values('series_omitted')).toContainEqual({ labels: { of: 'jobs' }, value: 0 })
})

it('is served as what a scraper asks for', async () => {
  await using server = await createControlServer({ host })
  const answer = await fetch(`${server.url}/metrics`, {
    headers: { authorization: `Bearer ${server.token}` },
  })
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
  expect(readPrometheus(await answer.text()).size).toBeGreaterThan(30)
  expect(await createControlClient(server).metrics()).toContain('manyhands_info')
})

it('tells of the network: peers, connections by kind, traffic, what is known, who is refused', () => {
  expect(values('peers')).toEqual([{ labels: {}, value: 1 }])
  expect(values('connections')).toHaveLength(8)
  expect(values('connections')).toContainEqual({
    labels: { kind: 'direct', direction: 'inbound' },
    value: 1,
  })
  const peer = '12D3KooWSomeClient'
  expect(values('peer_rtt_seconds')).toEqual([{ labels: { peer }, value: 0.012 }])
  expect(values('network_bytes_total')).toEqual([
    { labels: { direction: 'up' }, value: 6000 },
    { labels: { direction: 'down' }, value: 5000 },
  ])
  expect(values('offers_known')).toEqual([{ labels: {}, value: 7 }])
  expect(values('gossip_announcements_total')).toContainEqual({
    labels: { what: 'taken' },
    value: 20,
  })
  expect(values('banned')).toEqual([{ labels: {}, value: 1 }])
  expect(values('bans_total')).toEqual([{ labels: {}, value: 2 }])
  expect(values('connections_refused_total')).toEqual([{ labels: {}, value: 9 }])
  expect(values('offences_total')).toContainEqual({ labels: { offence: 'malformed' }, value: 0 })
})

it('is what a parser of somebody else reads, every series of it', () => {
  const text = prometheusText(host, '1.2.3')
  const read = parsePrometheusTextFormat(text)
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(read.flatMap(({ metrics }) => metrics)).toHaveLength(lines.length)
  expect(read.map(({ name }) => name)).toEqual([...readPrometheus(text).keys()])
})
