import { stat } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sh } from './busybox-programs.ts'
import { engineForTests } from './engine-for-tests.ts'
import { SandboxForTests, textOf, until } from './sandbox-for-tests.ts'

const MIB = 1024 ** 2

describe.skipIf(!(await engineForTests()))('a hostile task', () => {
  let sandbox: SandboxForTests
  beforeAll(async () => {
    sandbox = await SandboxForTests.open()
  })
  afterAll(() => sandbox[Symbol.asyncDispose]())

  /** Every line is an attack; each must fail, and the script says which did not. */
  const attacks = (lines: string[]) =>
    sh(
      lines
        .map((line) => `if ( ${line} ) 2>/dev/null; then echo "HELD NOT: ${line}"; fi`)
        .join('\n'),
    )

  it('cannot write to the root file system', async () => {
    const { stdout, exit } = await sandbox.run(
      attacks(['touch /x', 'touch /bin/x', 'echo >>/etc/passwd', 'rm /bin/ls', 'mkdir /in2']),
    )
    expect(stdout).toBe('')
    expect(exit.exitCode).toBe(0)
  })

  it('cannot change what was given to it', async () => {
    const { stdout } = await sandbox.run(
      attacks([
        'chmod 777 /in',
        'chmod 666 /in/a',
        'echo x >/in/a',
        'touch /in/b',
        'rm /in/a',
        'mount -o remount,rw /in',
      ]),
      { inputs: { a: 'mine' } },
    )
    expect(stdout).toBe('')
  })

  it('gains no rights', async () => {
    const { stdout } = await sandbox.run(
      attacks([
        'touch /out/f && chown 0:0 /out/f',
        'mknod /tmp/disk b 8 0',
        'mknod /out/disk b 8 0',
        'mkdir -p /tmp/m && mount -t tmpfs none /tmp/m',
        'mkdir -p /tmp/p && mount -t proc none /tmp/p',
        'unshare -m true',
        'unshare -U true',
        'unshare -n true',
        'echo 1 >/proc/sys/kernel/core_pattern',
        'echo b >/proc/sysrq-trigger',
        'cp /bin/busybox /tmp/busybox && /tmp/busybox true',
        'test -e /var/run/docker.sock',
        'ls /dev/sda || ls /dev/vda || ls /dev/kvm || ls /dev/mem',
      ]),
    )
    expect(stdout).toBe('')
  })

  it('gains nothing from a setuid file of its own', async () => {
    const script = 'cp /bin/busybox /out/busybox && chmod 4755 /out/busybox; /out/busybox id -u'
    const { stdout } = await sandbox.run(sh(script))
    expect(stdout).toBe('10001\n')
  })

  it('has no capability, no new privileges, a system call filter and no root', async () => {
    const { stdout } = await sandbox.run(sh('cat /proc/self/status'))
    expect(stdout).toMatch(/^Uid:\t10001\t10001\t10001\t10001$/m)
    expect(stdout).toMatch(/^Gid:\t10001\t10001\t10001\t10001$/m)
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      expect(stdout).toMatch(new RegExp(`^${set}:\\t0{16}$`, 'm'))
    }
    expect(stdout).toMatch(/^NoNewPrivs:\t1$/m)
    expect(stdout).toMatch(/^Seccomp:\t2$/m)
  })

  it('sees no network but itself', async () => {
    const { stdout } = await sandbox.run(
      sh('ls /sys/class/net; tail -n +2 /proc/net/route; nc -w 1 172.17.0.1 80 2>&1 </dev/null'),
    )
    expect(stdout).toMatch(/^lo\nnc: .*unreachable\n$/i)
  })

  it('has limits on files, cores and lengths', async () => {
    const { stdout } = await sandbox.run(sh('ulimit -Hn; ulimit -Hc; ulimit -Hf'))
    expect(stdout).toBe(`1024\n0\n${(16 * MIB) / 512}\n`)
  })

  it('finds its scratch space bounded and without programs or devices', async () => {
    const { stdout } = await sandbox.run(
      sh(
        'grep " /tmp " /proc/mounts; head -c 200m /dev/zero >/tmp/fill; stat -c %s /tmp/fill;' +
          'head -c 200m /dev/zero >/dev/shm/fill; stat -c %s /dev/shm/fill',
      ),
      { resources: { diskBytes: 8 * MIB } },
    )
    const [mount, tmp, shm] = stdout.split('\n')
    for (const option of ['nosuid', 'nodev', 'noexec']) expect(mount).toContain(option)
    expect(Number(tmp)).toBeLessThanOrEqual(8 * MIB)
    expect(Number(shm)).toBeLessThanOrEqual(16 * MIB)
  })

  it('is stopped by the disk quota in one large file', async () => {
    const { exit } = await sandbox.run(sh('head -c 64m /dev/zero >/out/fill; kill -XFSZ $$'))
    expect(exit.reason).toBe('disk')
  })

  it('cannot fork beyond its share', async () => {
    const { task } = await sandbox.start(
      sh('(while :; do sleep 100 & done) 2>/dev/null; exec sleep 100'),
      {
        resources: { pids: 40 },
      },
    )
    const drained = textOf(task)
    let most = 0
    await until(async () => {
      most = Math.max(most, (await task.stats()).pids)
      return most >= 38
    }, 'the bomb has filled its share')
    expect(most).toBeLessThanOrEqual(40)
    await task.kill()
    expect((await task.wait()).reason).toBe('stopped')
    await task.remove()
    await drained
  })

  it('runs out of memory alone, and that is told apart from a kill', async () => {
    const bomb = sh('head -c 500m /dev/zero | tail -c 500m >/dev/null')
    const own = await sandbox.run(bomb)
    expect(own.exit).toMatchObject({ oom: true, reason: 'exited' })
    const { task } = await sandbox.start(sh('sleep 100'))
    await task.kill()
    expect(await task.wait()).toMatchObject({ oom: false, signal: 'SIGKILL', reason: 'stopped' })
    await task.remove()
  })

  it('gets no success out of trapping TERM', async () => {
    const { task } = await sandbox.start(
      sh('trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'),
    )
    const reader = task.output()[Symbol.asyncIterator]()
    await reader.next()
    await task.stop({ graceMs: 10_000 })
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'stopped' })
    await task.remove()
  })

  it('leaves no file of root and no executable stranger behind', async () => {
    const { workspace } = await sandbox.run(sh('touch /out/f; chmod 644 /out/f'))
    expect((await stat(`${workspace.outDir}/f`)).uid).toBe(10001)
  })
})
