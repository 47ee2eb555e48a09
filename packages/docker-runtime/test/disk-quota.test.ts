import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loopObstacle } from '../src/disk/quota-kind.ts'
import { volumeStore } from '../src/disk/volume-store.ts'
import { isMounted, volumeUse } from '../src/disk/volume-use.ts'
import { createEngine } from '../src/engine.ts'
import { docker } from '../src/index.ts'
import { sh } from './busybox-programs.ts'
import { engine, engineForTests } from './engine-for-tests.ts'
import { SandboxForTests, until } from './sandbox-for-tests.ts'

const run = promisify(execFile)
const MIB = 1024 ** 2

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'manyhands-volumes-'))
})
afterEach(async () => {
  await unmountBelow(root)
  await rm(root, { recursive: true, force: true })
})

async function mountsBelow(directory: string): Promise<string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n')
  return lines
    .map((line) => line.split(' ')[1] ?? '')
    .filter((at) => at.startsWith(`${directory}/`))
}

async function unmountBelow(directory: string): Promise<void> {
  for (const at of await mountsBelow(directory)) await run('umount', ['--lazy', at])
}

/** Image files below a directory that a loop device is made of. */
async function loopsBelow(directory: string): Promise<string[]> {
  const { stdout } = await run('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'])
  return stdout.split('\n').filter((file) => file.trim().startsWith(`${directory}/`))
}

/** A container that is being started has a copy of every mount for a moment. */
async function noLoopsBelow(directory: string): Promise<void> {
  await until(async () => (await loopsBelow(directory)).length === 0, 'loop devices are free')
}

const standard = createEngine({ socketPath: '/var/run/docker.sock' })
const obstacle = (await engineForTests())
  ? await loopObstacle(standard, tmpdir())
  : 'there is no engine'
if (obstacle !== undefined) {
  if (process.env['CI']) throw new Error(`no volumes: ${obstacle}`)
  process.stderr.write(`tests with volumes skipped: ${obstacle}\n`)
}

describe.skipIf(obstacle !== undefined)('a volume', () => {
  it('takes the whole quota and hardly more, keeps what was there, and leaves nothing', async () => {
    const store = volumeStore(join(root, 'volumes'))
    const out = join(root, 'out')
    for (const diskBytes of [MIB, 100 * MIB, 1024 * MIB]) {
      await mkdir(out, { recursive: true })
      await writeFile(join(out, 'before'), 'x')
      expect(await store.prepare('a', out, diskBytes)).toBe(true)
      expect(await store.prepare('a', out, diskBytes)).toBe(false)
      expect(await readdir(out)).toEqual(['before'])
      expect(await volumeUse(out)).toBeLessThanOrEqual(64 * 1024)
      const { stdout } = await run('df', ['--block-size=1', '--output=avail', out])
      const room = Number(stdout.split('\n')[1])
      expect(room).toBeGreaterThanOrEqual(diskBytes)
      expect(room).toBeLessThanOrEqual(diskBytes * 1.1 + 4 * MIB)
      await store.discard('a')
      expect(await readdir(join(root, 'volumes'))).toEqual([])
      expect(await readdir(out)).toEqual([])
      await rm(out, { recursive: true })
    }
    await noLoopsBelow(root)
  })

  it('that cannot be mounted leaves nothing', async () => {
    const store = volumeStore(join(root, 'volumes'))
    await expect(store.prepare('a', join(root, 'none'), MIB)).rejects.toMatchObject({
      code: 'ENOENT',
    })
    await writeFile(join(root, 'file'), '')
    await expect(store.prepare('a', join(root, 'file'), MIB)).rejects.toThrow()
    expect(await store.names()).toEqual([])
    expect(await readdir(join(root, 'volumes'))).toEqual([])
    await noLoopsBelow(root)
  })

  it('is not promised where the disk has no room for it', async () => {
    const store = volumeStore(join(root, 'volumes'))
    await mkdir(join(root, 'out'))
    await expect(store.prepare('a', join(root, 'out'), 2 ** 42)).rejects.toThrow(/has no room/)
    expect(await readdir(join(root, 'volumes'))).toEqual([])
  })
})

describe.skipIf(obstacle !== undefined)('disk quotas by volumes', () => {
  const loop = { diskQuota: 'loop' } as const

  it('are told in the fingerprint', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    expect((await sandbox.runtime.fingerprint()).attributes).toMatchObject({
      'docker.disk-quota': 'loop',
    })
    await using polled = await SandboxForTests.open({ diskQuota: 'poll' })
    expect((await polled.runtime.fingerprint()).attributes).toMatchObject({
      'docker.disk-quota': 'poll',
    })
  })

  it('give the task an empty directory, and the host what it wrote', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    const { task, workspace } = await sandbox.start(
      sh('ls -A /out; grep " /out " /proc/mounts >&2; echo done >/out/result'),
    )
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
    expect(await readdir(workspace.outDir)).toEqual(['result'])
    await task.remove()
    expect(await readdir(workspace.outDir)).toEqual([])
    expect(await mountsBelow(sandbox.root)).toEqual([])
    await noLoopsBelow(sandbox.root)
    expect(await readdir(join(sandbox.root, 'volumes'))).toEqual([])
  })

  it('mount what the task may write without devices and without set-uid programs', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    const { stdout } = await sandbox.run(sh('grep " /out " /proc/mounts'))
    expect(stdout).toMatch(/^\/dev\/loop\d+ \/out ext4 .*nosuid.*nodev/)
  })

  it.for([
    [
      'stops at the first error',
      'dd if=/dev/zero of=/out/a bs=1M count=12; exec dd if=/dev/zero of=/out/b bs=1M count=12',
    ],
    ['goes on', 'for i in 1 2 3 4; do dd if=/dev/zero of=/out/$i bs=1M count=12; done; sleep 1000'],
    [
      'hides its errors',
      'for i in 1 2 3 4; do dd if=/dev/zero of=/out/$i bs=1M count=12; done; exit 0',
    ],
    [
      'makes nothing but names',
      'i=0; while [ $i -lt 200000 ]; do : >/out/$i || break; i=$((i+1)); done; exit 0',
    ],
    ['makes files of holes', 'for i in 1 2 3; do truncate -s 12M /out/$i; done; exit 0'],
  ] as const)('end a task that writes more and %s with the reason disk', async ([, script]) => {
    await using sandbox = await SandboxForTests.open(loop)
    const { exit } = await sandbox.run(sh(script))
    expect(exit.reason).toBe('disk')
    expect(await mountsBelow(sandbox.root)).toEqual([])
  })

  it('hold between two measures, whatever we see', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    const { task, workspace } = await sandbox.start(
      sh(
        'for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/out/$i bs=1M count=15; done; sleep 1000',
      ),
    )
    await task.wait()
    expect(await volumeUse(workspace.outDir)).toBeLessThanOrEqual(20 * MIB)
    await task.remove()
  })

  it('let a task use all of it', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    const { exit } = await sandbox.run(sh('dd if=/dev/zero of=/out/a bs=1M count=15 && sync'))
    expect(exit).toMatchObject({ exitCode: 0, reason: 'exited' })
  })

  it('outlive the host’s process', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    const { task, workspace } = await sandbox.start(sh('echo x >/out/a; sleep 1; echo y >/out/b'))
    await sandbox.reopen(loop)
    expect(await isMounted(workspace.outDir)).toBe(true)
    const again = await sandbox.runtime.recover(task.handle)
    expect(await again?.wait()).toMatchObject({ exitCode: 0 })
    expect((await readdir(workspace.outDir)).sort()).toEqual(['a', 'b'])
    await again?.remove()
    expect(await mountsBelow(sandbox.root)).toEqual([])
  })

  it('are mounted again after a restart of the computer', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    const { task, workspace } = await sandbox.start(sh('echo x >/out/a'))
    await task.wait()
    await run('umount', [workspace.outDir])
    await sandbox.reopen(loop)
    const again = await sandbox.runtime.recover(task.handle)
    expect(await again?.wait()).toMatchObject({ exitCode: 0 })
    expect(await readdir(workspace.outDir)).toEqual(['a'])
    await again?.remove()
    expect(await mountsBelow(sandbox.root)).toEqual([])
  })

  it('of attempts that nobody knows are cleared away when the host comes back', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    const { task } = await sandbox.start(sh('sleep 1000'))
    await engine.getContainer(task.handle.id).remove({ force: true })
    await task.wait()
    expect(await mountsBelow(sandbox.root)).toHaveLength(1)
    await sandbox.reopen(loop)
    expect(await mountsBelow(sandbox.root)).toEqual([])
    expect(await readdir(join(sandbox.root, 'volumes'))).toEqual([])
    await noLoopsBelow(sandbox.root)
  })

  it.for([
    ['an image that is not there', { image: 'manyhands-test/none:1', command: ['/bin/true'] }],
    ['a command that is none', { ...sh(''), command: ['/no/such/program'] }],
  ] as const)('leave nothing of a start that fails: %s', async ([, program]) => {
    await using sandbox = await SandboxForTests.open(loop)
    const asked = { image: program.image, command: [...program.command] }
    await expect(sandbox.start(asked)).rejects.toThrow()
    expect(await mountsBelow(sandbox.root)).toEqual([])
    await noLoopsBelow(sandbox.root)
  })

  it('that cannot be given fail the start, and leave no container', async () => {
    await using sandbox = await SandboxForTests.open(loop)
    const resources = { diskBytes: 2 ** 42 }
    await expect(sandbox.start(sh('true'), { resources })).rejects.toThrow(/has no room/)
    expect(await sandbox.runtime.list()).toEqual([])
  })

  it('are refused where the owner wants them and they are not possible', async () => {
    // Beside this socket nothing tells which process the engine is.
    const stand = join(root, 'docker.sock')
    await run('ln', ['-s', '/var/run/docker.sock', stand])
    const runtime = docker({ socketPath: stand, diskQuota: 'loop' })
    await runtime.open({ hostInstance: 'h', stateDir: root })
    const found = await runtime.fingerprint()
    expect(found.available).toBe(false)
    expect(found.detail).toMatch(/disk quota: no volumes: nothing tells whether the engine sees/)
  })
})
