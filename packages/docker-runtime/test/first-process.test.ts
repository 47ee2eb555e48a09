import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ensureImage } from '../../../scripts/docker-images.ts'
import { sh } from './busybox-programs.ts'
import { engine, engineForTests } from './engine-for-tests.ts'
import { SandboxForTests, until } from './sandbox-for-tests.ts'

const images: string[] = []

async function image(name: string, changes: string[]): Promise<string> {
  const tag = `manyhands-test/${name}:1`
  images.push(tag)
  return ensureImage(engine, tag, changes)
}

async function ended(id: string): Promise<void> {
  await until(async () => !(await engine.getContainer(id).inspect()).State.Running, 'it has ended')
}

describe.skipIf(!(await engineForTests()))('the first process of a container', () => {
  afterAll(async () => {
    for (const tag of images) {
      await engine
        .getImage(tag)
        .remove({ force: true })
        .catch(() => {})
    }
  })

  it('ends it at its longest run time while no host process looks', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('sleep 100'), { maxRuntimeMs: 800 })
    await sandbox.runtime.close()
    await ended(task.handle.id)
    await sandbox.reopen()
    const again = await sandbox.runtime.recover(task.handle)
    expect(await again?.wait()).toMatchObject({ reason: 'max-runtime', signal: 'SIGKILL' })
    await again?.remove()
  })

  it('does not count the time in which it is paused', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(
      sh('i=0; while [ $i -lt 20 ]; do sleep 0.1; i=$((i + 1)); done'),
      {
        maxRuntimeMs: 6500,
      },
    )
    await task.pause?.()
    // Longer than what was left, for the container's clock and for ours.
    await new Promise((resolve) => setTimeout(resolve, 9000))
    await task.resume?.()
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
    await task.remove()
  })

  it('tells a chosen code from a signal of the same number', async () => {
    await using sandbox = await SandboxForTests.open()
    const chosen = await sandbox.run(sh('exit 137'))
    expect(chosen.exit).toMatchObject({ exitCode: 137, signal: undefined, reason: 'exited' })
    const killed = await sandbox.run(sh('kill -9 $$'))
    expect(killed.exit).toMatchObject({ exitCode: 137, signal: 'SIGKILL', reason: 'exited' })
  })

  it('tells why a program cannot be started, and takes no program’s word for it', async () => {
    await using sandbox = await SandboxForTests.open()
    const start = (command: string[]) => sandbox.start({ ...sh(''), command })
    const bad = { code: 'COMMAND_INVALID' }
    await expect(start(['/no/such'])).rejects.toMatchObject({
      ...bad,
      message: expect.stringMatching(/no such file/),
    })
    await expect(start(['no-such'])).rejects.toMatchObject(bad)
    await expect(start(['/etc/passwd'])).rejects.toMatchObject({
      ...bad,
      message: expect.stringMatching(/permission denied/),
    })
    for (const code of [126, 127]) {
      const { exit } = await sandbox.run(
        sh(`echo "[FATAL tini (7)] exec x failed" >&2; exit ${code}`),
      )
      expect(exit).toMatchObject({ exitCode: code, reason: 'exited' })
    }
    expect(await sandbox.runtime.list()).toEqual([])
  })

  it('cannot be traced, stopped, killed or robbed of its descriptors by the task', async () => {
    await using sandbox = await SandboxForTests.open()
    const { stdout } = await sandbox.run(
      sh(
        'ls -l /proc/1/fd 2>&1 | grep -c "Permission denied"; cat /proc/1/mem 2>&1 | grep -c denied;' +
          'kill -STOP 1; kill -KILL 1; ls /proc/self/fd | wc -l; grep ^State /proc/1/status',
      ),
    )
    const [fds, memory, own, state] = stdout.split('\n')
    expect([fds, memory]).toEqual(['1', '1'])
    // 0, 1, 2 and the one that ls reads the directory through.
    expect(own).toBe('4')
    expect(state).toMatch(/sleeping/)
  })

  it('reaps what lost its parent, and passes signals on', async () => {
    await using sandbox = await SandboxForTests.open()
    const { stdout } = await sandbox.run(
      sh(
        'i=0; while [ $i -lt 20 ]; do (sleep 0.01 &); i=$((i + 1)); done; sleep 0.5;' +
          'grep -l "^State:.Z" /proc/[0-9]*/status | wc -l; trap "echo got; exit 0" USR1; kill -USR1 1; sleep 5 & wait',
      ),
    )
    expect(stdout).toBe('0\ngot\n')
  })

  it('believes a forged record only where it changes nothing but the task’s own fate', async () => {
    await using sandbox = await SandboxForTests.open()
    const forge = (state: string, code: number) =>
      sh(
        `echo '{"v":1,"state":"${state}","ms":1,"error":2}' >/.manyhands/end; kill -9 -1; exit ${code}`,
      )
    const success = await sandbox.run(forge('max-runtime', 0))
    expect(success.exit).toMatchObject({ exitCode: 0, reason: 'exited' })
    const { exit } = await sandbox.run(
      sh('while :; do echo "$(head -c 900 /dev/zero | tr "\\0" x)"; done >/.manyhands/end'),
      { resources: { diskBytes: 4 * 1024 ** 2 } },
    )
    expect(exit.reason).toBe('disk')
  })

  it('has a directory that the task cannot change, gone with the container', async () => {
    await using sandbox = await SandboxForTests.open()
    const { stdout } = await sandbox.run(
      sh(
        'for f in x init end.lock; do (echo >/.manyhands/$f) 2>/dev/null && echo "wrote $f"; done;' +
          'rm -f /.manyhands/init /.manyhands/end 2>/dev/null; ls /.manyhands',
      ),
    )
    expect(stdout).toBe('end\ninit\n')
    expect(await readdir(join(sandbox.root, 'containers'))).toEqual([])
  })

  it('sweeps what a process that died left, and nothing that is in use', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('sleep 100'))
    const [own] = await readdir(join(sandbox.root, 'containers'))
    await writeFile(join(sandbox.root, 'containers', 'f'.repeat(24)), 'left')
    await sandbox.reopen()
    expect(await sandbox.runtime.list()).toHaveLength(1)
    expect(await readdir(join(sandbox.root, 'containers'))).toEqual([own])
    await (await sandbox.runtime.recover(task.handle))?.remove()
    expect(await readdir(join(sandbox.root, 'containers'))).toEqual([])
  })
})

describe.skipIf(!(await engineForTests()))('an image', () => {
  it.for([
    ['volume-root', ['VOLUME ["/proc/x"]']],
    ['volume-init', ['VOLUME ["/.manyhands"]']],
    ['volume-below-out', ['VOLUME ["/out/deep"]']],
    ['volume-secrets', ['VOLUME ["/run/secrets"]']],
    ['workdir-fd', ['WORKDIR /proc/self/fd/8']],
    ['workdir-dots', ['WORKDIR /tmp/../sys/kernel']],
    ['env-many', [`ENV ${Array.from({ length: 1100 }, (_, i) => `V${i}=1`).join(' ')}`]],
    ['env-long', Array.from({ length: 7 }, (_, i) => `ENV L${i}=${'x'.repeat(20_000)}`)],
  ] as const)('that asks for %s is refused', async ([name, changes]) => {
    await using sandbox = await SandboxForTests.open()
    const tag = await image(name, [...changes])
    await expect(sandbox.start({ image: tag, command: ['/bin/true'] })).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
    })
    expect(await sandbox.runtime.list()).toEqual([])
  })

  it('decides the working directory, and neither user nor health check nor preloads', async () => {
    await using sandbox = await SandboxForTests.open()
    const tag = await image('wishes', [
      'USER 0',
      'WORKDIR /etc',
      'ENV LD_PRELOAD=/bin/busybox LD_LIBRARY_PATH=/bin',
      'HEALTHCHECK --interval=1s CMD touch /out/healthy',
      'LABEL manyhands.host=somebody manyhands.job=else',
    ])
    const { task } = await sandbox.start({
      image: tag,
      command: ['/bin/sh', '-c', 'pwd; id -u; sleep 100'],
    })
    const found = await engine.getContainer(task.handle.id).inspect()
    expect(found.Config.Labels['manyhands.host']).toBe(sandbox.hostInstance)
    expect(found.Config.Healthcheck?.Test).toEqual(['NONE'])
    expect(found.Config.WorkingDir).toBe('/')
    const reader = task.output()[Symbol.asyncIterator]()
    let text = ''
    while (text.split('\n').length < 3) text += Buffer.from((await reader.next()).value!.bytes)
    expect(text).toBe('/etc\n10001\n')
    await task.stop({ graceMs: 5000 })
    expect((await task.wait()).signal).toBe('SIGTERM')
    await task.remove()
  })

  it('without a program needs a command', async () => {
    await using sandbox = await SandboxForTests.open()
    const tag = await image('empty', ['ENV A=1'])
    await expect(
      sandbox.start({ image: tag, command: [] }, { command: undefined }),
    ).rejects.toMatchObject({ code: 'COMMAND_INVALID' })
  })
})
