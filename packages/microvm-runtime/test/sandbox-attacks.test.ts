import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, copyFile, lstat, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { compiledProgram } from '../../testing/test/compiled-program.ts'
import { clearRooms } from '../src/machine-room.ts'
import { machineProcesses, machinesForTests } from './machines-for-tests.ts'
import { startForTests } from './task-for-tests.ts'

const machines = await machinesForTests()
const alter = await compiledProgram('alter-inputs')
const TIMEOUT_MS = 180_000

/** Each of these must fail; what one prints is what an attacker would have. */
const ATTACKS: Record<string, string> = {
  'write to the root': 'echo x >/evil',
  'write to the image': 'echo x >/bin/sh',
  'write to the inputs': 'echo x >/in/x',
  'become root by a program': '/bin/busybox su -c id',
  'own a file as root': 'touch /tmp/o && chown 0:0 /tmp/o',
  'make a device': 'mknod /out/d b 254 0',
  'read a disk': 'head -c 1 /dev/vda || head -c 1 /proc/1/root/dev/vda',
  'talk to the host as init': 'echo x >/dev/vport0p1 || echo x >/proc/1/root/dev/vport0p1',
  'look into init': 'cat /proc/1/environ /proc/1/maps',
  'end init': 'kill -9 1',
  'mount something': 'mount -t tmpfs none /tmp',
  'mount the root again': 'mount -o remount,rw /',
  'unmount the inputs': 'umount /in',
  'become root in a namespace': 'unshare -r id',
  'change the kernel': 'sysctl -w kernel.hostname=evil',
  'load code into the kernel': 'echo x >/proc/sys/kernel/modprobe',
  'run a program from /tmp': 'cp /bin/busybox /tmp/b && /tmp/b true',
  'leave its control group': 'echo $$ >/sys/fs/cgroup/cgroup.procs',
  'restart the machine': 'echo b >/proc/sysrq-trigger',
  'find a network': 'ls /sys/class/net | grep -v "^lo$"',
  'reach an address': 'ping -c 1 -W 1 10.0.2.2',
}

describe.skipIf(machines === undefined)('a task that attacks', { timeout: TIMEOUT_MS }, () => {
  const { create, image, kernel } = machines!
  const sh = (script: string, resources = {}) =>
    startForTests(create(), image, ['/bin/sh', '-c', script], resources)

  it('gets nowhere with any of the usual ways', async () => {
    const script = Object.entries(ATTACKS)
      .map(([name, attack]) => `if ( ${attack} ) >/dev/null 2>&1; then echo "${name}"; fi`)
      .join('\n')
    await using started = await sh(`${script}\necho tried`)
    const { stdout, exit } = await started.finish()
    expect(exit).toMatchObject({ exitCode: 0, reason: 'exited' })
    expect(stdout, 'attacks that worked').toBe('tried\n')
  })

  it.skipIf(alter === undefined)('cannot alter its inputs by any call', async () => {
    let input = ''
    const factsOf = async () => {
      const { mode, uid, size, mtimeNs, ctimeNs, nlink } = await lstat(input, { bigint: true })
      return { mode, uid, size, mtimeNs, ctimeNs, nlink, text: await readFile(input, 'utf8') }
    }
    let before: unknown
    await using started = await startForTests(
      create(),
      image,
      ['/in/alter', '/in', 'a'],
      {},
      // Owners and modes protect nothing: what is left is a disk that cannot be written.
      async (inDir) => {
        input = join(inDir, 'a')
        await writeFile(input, 'mine')
        await copyFile(alter!, join(inDir, 'alter'))
        for (const name of ['a', 'alter', '.']) {
          await chmod(join(inDir, name), 0o777)
          await chown(join(inDir, name), 10001, 10001)
        }
        before = await factsOf()
      },
    )
    const { stdout, exit } = await started.finish()
    expect(stdout).toBe('tried\n')
    expect(exit).toMatchObject({ exitCode: 0, reason: 'exited' })
    expect(await factsOf()).toEqual(before)
  })

  it('bombs forks: they end at its limit and with it', async () => {
    await using started = await sh('b() { b | b & }; b; while :; do :; done', { pids: 24 })
    await expect
      .poll(async () => (await started.task.stats()).pids, { timeout: 60_000 })
      .toBeGreaterThan(20)
    expect((await started.task.stats()).pids).toBeLessThanOrEqual(24)
    await started.task.kill()
    expect(await machineProcesses(started.root)).toEqual([])
    expect(await started.runtime.list()).toEqual([])
  })

  it('fills its memory through files: it ends there', async () => {
    await using started = await sh(
      'for i in 1 2; do head -c 67108864 /dev/zero >/dev/shm/$i; done; ' +
        'head -c 67108864 /dev/zero >/tmp/x; echo "$(stat -c %s /tmp/x)"',
    )
    const { stdout, exit } = await started.finish()
    expect(Number(stdout)).toBeLessThanOrEqual(32 * 1024 ** 2)
    expect(exit.reason).toBe('exited')
  })

  it('leaves links and special files in /out: they stay behind, and are told', async () => {
    await using started = await sh(
      'cd /out; ln -s /etc/passwd link; ln -s / root; mkfifo pipe; mkdir -p d/e; echo good >d/e/f; ' +
        'ln d/e/f again; chmod 4755 d/e/f',
    )
    const { exit } = await started.finish()
    expect(exit).toMatchObject({ exitCode: 0, reason: 'exited' })
    expect(exit.detail).toMatch(/^\/out\/.* is a link or a special file and was left out$/)
    const left = await readdir(started.outDir, { recursive: true })
    expect(left.sort()).toEqual(['again', 'd', 'd/e', 'd/e/f'])
  })

  it('says that its files are huge: a hole counts as what it becomes', async () => {
    await using started = await sh('truncate -s 100G /out/huge')
    expect((await started.finish()).exit.reason).toBe('disk')
    expect(await readdir(started.outDir)).toEqual([])
  })

  // A guest that runs notices by itself that nobody listens; one that stands still cannot.
  for (const state of ['running', 'paused']) {
    it(`does not outlive the process of its host, ${state}`, async () => {
      const script = fileURLToPath(new URL('./start-and-wait.ts', import.meta.url))
      const task = [kernel.kernel, kernel.modules!, image, state]
      const host = spawn(process.execPath, ['--conditions=@manyhands/source', script, ...task], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let root = ''
      try {
        root = String((await once(host.stdout, 'data'))[0]).trim()
        expect(await machineProcesses(root)).not.toEqual([])
        host.kill('SIGKILL')
        await expect.poll(() => machineProcesses(root), { timeout: 20_000 }).toEqual([])
        const rooms = join(root, 'state/machines')
        expect((await readdir(rooms)).length).toBe(1)
        const next = create()
        await next.open({ hostInstance: 'test', stateDir: join(root, 'state') })
        expect(await readdir(rooms)).toEqual([])
        await next.close()
      } finally {
        host.kill('SIGKILL')
        await clearRooms(join(root, 'state/machines'))
        if (root !== '') await rm(root, { recursive: true, force: true })
      }
    })
  }
})
