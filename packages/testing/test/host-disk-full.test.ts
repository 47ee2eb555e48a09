import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { DatabaseSync } from 'node:sqlite'
import { createNetwork, DEFAULT_RESOURCES, type Network } from '@manyhands/core'
import { createHost, type Host } from '@manyhands/host'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { scripted } from '../src/index.ts'

/** A file system of its own, 32 MiB. */
function smallDisk(): string {
  const dir = mkdtempSync(join(tmpdir(), 'manyhands-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', dir], { stdio: 'pipe' })
    return dir
  } catch (cause) {
    rmSync(dir, { recursive: true })
    throw cause
  }
}

/** Why there can be none. For root on CI that is a failure; elsewhere the reason is printed. */
function diskObstacle(): string | undefined {
  try {
    unmount(smallDisk())
    return undefined
  } catch (cause) {
    if (process.env['CI'] && process.getuid?.() === 0) throw cause
    const reason = (cause as Error).message.trim().replaceAll('\n', ' ')
    process.stderr.write(`tests with a full disk skipped: ${reason}\n`)
    return reason
  }
}

function unmount(dir: string): void {
  execFileSync('umount', ['-l', dir])
  rmSync(dir, { recursive: true })
}

describe.skipIf(diskObstacle() !== undefined)('a host whose disk is full', () => {
  let dir: string
  let host: Host
  let client: Network

  beforeEach(async () => {
    dir = smallDisk()
    host = await createHost({
      runtimes: [scripted()],
      share: { cpus: 4, memory: '8GiB', disk: '1GiB' },
      network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
      state: join(dir, 'host'),
    })
    // It never acknowledges anything.
    client = await createNetwork({ bootstrap: host.addresses, gossip: false })
  })
  afterEach(async () => {
    await client.close()
    await host.close()
    unmount(dir)
  })

  const offer = async (id: string, ...script: string[]) => {
    const spec = {
      runtime: 'scripted',
      image: 'any',
      command: ['run', ...script],
      env: {},
      inputs: [],
      outputs: ['/out/**'],
      resources: { ...DEFAULT_RESOURCES, diskBytes: 1024 },
      timeoutMs: 0,
      networkProfile: 'none' as const,
    }
    const attempts = [{ id, task: id, epoch: 1 }]
    const params = { job: 'j', jobName: '', spec, attempts }
    return (await client.call(host.peerId, 'attempt.offer', params)).answers[0]!
  }
  const phaseOf = (id: string) => host.attempts().find((attempt) => attempt.id === id)?.phase
  const free = () => {
    const { bavail, bsize } = statfsSync(dir)
    return bavail * bsize
  }
  const fillAll = async () => {
    await using file = await open(join(dir, 'ballast'), 'w')
    for (let size = 1024 ** 2; size >= 4096; size /= 2) {
      while (free() >= size) await file.write(Buffer.alloc(size))
    }
    // Whatever pages are left besides.
    await file.write(Buffer.alloc(4096)).catch(() => {})
  }

  it('takes nothing new, says why, keeps what waits, and goes on when there is room', async () => {
    expect(await offer('kept.1', '--write', 'x=the result')).toMatchObject({ accepted: true })
    await expect.poll(() => phaseOf('kept.1')).toBe('completed')
    expect(await offer('caught.1', '--for', '1s', '--write', 'y=lost')).toMatchObject({
      accepted: true,
    })
    await expect.poll(() => phaseOf('caught.1')).toBe('running')
    await fillAll()
    await expect
      .poll(() => offer('refused.1'))
      .toMatchObject({
        accepted: false,
        error: { code: 'HOST_BUSY', details: { rule: 'disk' }, blame: 'host' },
      })
    // Its end cannot be kept, or only as this host's fault; never as a success that is not there.
    await expect.poll(() => phaseOf('caught.1'), { timeout: 20_000 }).toMatch(/collecting|failed/)
    expect(phaseOf('kept.1')).toBe('completed')
    await rm(join(dir, 'ballast'))
    await expect
      .poll(() => phaseOf('caught.1'), { timeout: 40_000 })
      .toMatch(/^(completed|failed)$/)
    await expect.poll(() => offer('after.1')).toMatchObject({ accepted: true })
    await expect.poll(() => phaseOf('after.1')).toBe('completed')
    expect((await client.call(host.peerId, 'attempt.inventory', {})).attempts).toHaveLength(3)
    await host.close()
    const database = new DatabaseSync(join(dir, 'host', 'host.db'))
    expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
    const rows = database.prepare('SELECT id, phase FROM attempts').all()
    expect(rows).toContainEqual({ id: 'kept.1', phase: 'completed' })
    database.close()
  })
})
