import { lstatSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findCgroup } from '../src/cgroup.ts'
import { DiskMeter } from '../src/disk/disk-meter.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'manyhands-meters-'))
})
afterEach(() => rm(root, { recursive: true }))

async function files(entries: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(entries)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
}

/** What the file system says that everything in a directory takes, bytes. */
function blocksOf(directory: string): number {
  return readdirSync(directory)
    .map((name) => lstatSync(join(directory, name)).blocks * 512)
    .reduce((sum, bytes) => sum + bytes, 0)
}

describe('cgroup files', () => {
  it('are read in the first version’s layout', async () => {
    await files({
      'cpuacct/docker/abc/cpuacct.usage': '1500000000\n',
      'memory/docker/abc/memory.usage_in_bytes': '1000\n',
      'memory/docker/abc/memory.max_usage_in_bytes': '1200\n',
      'memory/docker/abc/memory.stat': 'cache 1\ntotal_cache 300\ntotal_shmem 100\n',
      'pids/docker/abc/pids.current': '3\n',
    })
    const reader = await findCgroup('abc', root)
    expect(await reader?.read()).toEqual({
      cpuMs: 1500,
      memoryBytes: 800,
      memoryPeakBytes: 1000,
      pids: 3,
    })
  })

  it('are read in the second version’s layout, under systemd, without memory.peak', async () => {
    const path = 'system.slice/docker-abc.scope'
    await files({
      [`${path}/cpu.stat`]: 'usage_usec 2500\nuser_usec 1\n',
      [`${path}/memory.current`]: '1000\n',
      [`${path}/memory.stat`]: 'anon 700\nfile 300\nshmem 100\n',
      [`${path}/pids.current`]: '2\n',
    })
    const reader = await findCgroup('abc', root)
    expect(await reader?.read()).toEqual({
      cpuMs: 2.5,
      memoryBytes: 800,
      memoryPeakBytes: 800,
      pids: 2,
    })
  })

  it('of a container elsewhere are not found', async () => {
    expect(await findCgroup('abc', root)).toBe(undefined)
  })
})

describe('the disk meter', () => {
  it('counts lengths, also of sparse files, and follows no link', async () => {
    await files({ 'out/a/b': 'x'.repeat(10_000), 'elsewhere/big': 'x'.repeat(1_000_000) })
    await writeFile(join(root, 'out/sparse'), '')
    await truncate(join(root, 'out/sparse'), 500_000)
    await symlink(join(root, 'elsewhere'), join(root, 'out/link'))
    const bytes = await new DiskMeter(join(root, 'out'), 10_000_000).measure()
    expect(bytes).toBeGreaterThan(510_000)
    expect(bytes).toBeLessThan(600_000)
  })

  it('says when the limit is passed, and stops counting there', async () => {
    await files(
      Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`out/${n}`, 'x'.repeat(9000)])),
    )
    const meter = new DiskMeter(join(root, 'out'), 50_000)
    await new Promise<void>((resolve) => meter.watch(resolve))
    meter.stop()
    expect(meter.over).toBe(true)
    // Twenty files begin with a block each; the last that is looked at brings it over the limit.
    expect(await meter.recent()).toBeLessThan(20 * 9000)
  })

  it('runs a flood of empty files into the limit', async () => {
    await files(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`out/${n}`, ''])))
    const meter = new DiskMeter(join(root, 'out'), 50_000)
    await meter.measure()
    expect(meter.over).toBe(true)
  })

  it('counts what directories and links take as well', async () => {
    for (let index = 0; index < 20; index += 1) await mkdir(join(root, `d${index}`))
    // Too long to be kept in the entry itself.
    await symlink('x'.repeat(1000), join(root, 'l'))
    const measured = await new DiskMeter(root, 1e9).measure()
    expect(measured).toBeGreaterThanOrEqual(Math.max(21 * 4096, blocksOf(root)))
  })

  it('finds nothing in a directory that does not exist', async () => {
    expect(await new DiskMeter(join(root, 'none'), 10).measure()).toBe(0)
  })
})
