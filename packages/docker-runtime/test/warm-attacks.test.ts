import { lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engineForTests, leftovers } from './engine-for-tests.ts'
import { SandboxForTests, textOf, until } from './sandbox-for-tests.ts'
import { WarmForTests } from './warm-for-tests.ts'

const FINE = { exitCode: 0, signal: undefined, oom: false, reason: 'exited' }
/** Something that goes on in the background after its setup. */
const SERVER = '(while :; do sleep 0.2; done) & echo up'

describe.skipIf(!(await engineForTests()))('a task of a warm container', () => {
  let sandbox: SandboxForTests
  beforeEach(async () => {
    sandbox = await SandboxForTests.open()
  })
  afterEach(async () => {
    await sandbox[Symbol.asyncDispose]()
    expect(await leftovers(sandbox.hostInstance)).toEqual([])
  })

  /** Everybody in the container but its first process and the shell that looks. */
  const OTHERS =
    'for p in /proc/[0-9]*; do n=$(basename $p); [ $n = 1 ] || [ $n = $$ ] || tr "\\0" " " <$p/cmdline; done'

  const LEAVING = [
    ['in the background', '(while :; do echo bad >/out/late; sleep 0.01; done) &'],
    [
      'twice forked, in a session of its own',
      'setsid sh -c "(setsid sh -c \'while :; do echo bad >/out/late; done\' &)"',
    ],
    [
      'that traps every signal',
      '(trap "" TERM INT HUP QUIT USR1; while :; do echo bad >/out/late; done) &',
    ],
    ['that stands still', '(while :; do :; done) & kill -STOP $!'],
    [
      'that forks without end',
      'f() { (f &) ; (f &); sleep 0.01; }; f 2>/dev/null & i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done',
    ],
  ] as const
  it.for(LEAVING)('leaves nobody %s to the next one', { timeout: 60_000 }, async ([, script]) => {
    for (const setup of [undefined, SERVER]) {
      const warm = await WarmForTests.open(sandbox, { ...(setup === undefined ? {} : { setup }) })
      for (let round = 0; round < 3; round += 1) {
        const left = await warm.run(`${script}\nexit 0`)
        expect(left.exit).toMatchObject({ exitCode: 0, reason: 'exited' })
        expect(warm.warm.usable).toBe(true)
        const next = await warm.run(`sleep 0.1; ls /out; ${OTHERS}`)
        expect(next.stdout.replaceAll('sleep 0.2 ', '')).toBe(
          setup === undefined ? '' : `/bin/sh -c ${SERVER} `,
        )
      }
      await warm.warm.close()
    }
  })

  it('cannot stop, trace, kill or rob the first process, nor speak for it or to it', async () => {
    const warm = await WarmForTests.open(sandbox)
    const { stdout, exit } = await warm.run(
      [
        'ls /.manyhands; ls -l /proc/1/fd 2>&1 | grep -c "Permission denied"',
        'cat /proc/1/mem 2>&1 | grep -c denied; cat /proc/1/environ 2>&1 | grep -c denied',
        'for s in STOP KILL TERM INT USR1 CHLD; do kill -$s 1; done',
        // 0, 1, 2 and the one that ls reads the directory through.
        'ls /proc/self/fd | wc -l',
        'nc local:/.manyhands/host.sock </dev/null 2>&1 | head -c 1 | wc -c',
        'grep -c host.sock /proc/net/unix',
      ].join('\n'),
    )
    const [end, init, ...rest] = stdout.split('\n')
    expect([end, init]).toEqual(['end', 'init'])
    expect(rest.slice(0, 4)).toEqual(['1', '1', '1', '4'])
    expect(exit).toEqual(FINE)
    expect((await warm.run('echo next')).stdout).toBe('next\n')
    // Nor can anybody on the host's side of the directory: the name is gone.
    const [directory] = await readdir(join(sandbox.root, 'containers'))
    const path = join(sandbox.root, 'containers', directory!)
    expect((await readdir(path)).toSorted()).toEqual(['end', 'init'])
    const socket = createConnection(join(path, 'host.sock'))
    await expect(new Promise((_, reject) => socket.once('error', reject))).rejects.toMatchObject({
      code: 'ENOENT',
    })
    await warm.warm.close()
  })

  it('is not believed about its own end', async () => {
    const warm = await WarmForTests.open(sandbox)
    const { exit } = await warm.run(
      'printf "\\011\\0\\0\\0E\\0\\0\\0\\0\\0\\0\\0\\0"; echo \'{"v":1,"state":"exited","ms":1,"code":0}\' >/.manyhands/end; exit 9',
    )
    expect(exit).toMatchObject({ exitCode: 9, reason: 'exited' })
    expect(warm.warm.usable).toBe(false)
    await warm.warm.close()
  })

  it('that kills everybody ends as killed, or goes on alone', async () => {
    const warm = await WarmForTests.open(sandbox, { setup: SERVER })
    const { exit } = await warm.run('kill -9 -1; exit 0')
    expect(exit).toMatchObject({ exitCode: 0, reason: 'exited' })
    // The setup's own went with it, which is the job's affair; nothing else did.
    const next = await warm.run(OTHERS)
    expect(next.stdout).toBe('')
    await warm.warm.close()
  })

  it('that takes all processes or all of /tmp ends alone', async () => {
    const warm = await WarmForTests.open(sandbox, { resources: { pids: 24 } })
    await warm.run('i=0; while [ $i -lt 20 ]; do sleep 100 & i=$((i+1)); done; exit 0')
    expect((await warm.run('echo next')).stdout).toBe('next\n')
    await warm.run('head -c 100000000 /dev/zero >/tmp/full 2>/dev/null; exit 0')
    const next = await warm.run('rm /tmp/full; echo x >/tmp/x && cat /tmp/x')
    expect(next.stdout).toBe('x\n')
    await warm.warm.close()
  })

  it('cannot have the host delete, open or chmod what its links lead to', async () => {
    const secrets = join(sandbox.root, 'secrets')
    await mkdir(join(secrets, 'deep'), { recursive: true })
    await writeFile(join(secrets, 'deep', 'file'), 'mine')
    const warm = await WarmForTests.open(sandbox)
    const { exit } = await warm.run(
      `ln -s ${secrets} /out/link; mkdir -p /out/a/b; ln -s ${secrets}/deep /out/a/b/c; ln -s / /out/root; chmod 000 /out/a; chmod 000 /out`,
    )
    expect(exit).toEqual(FINE)
    expect(await readFile(join(secrets, 'deep', 'file'), 'utf8')).toBe('mine')
    expect((await warm.run('ls -a /out; echo x >/out/x')).exit).toEqual(FINE)
    await warm.warm.close()
    await rm(secrets, { recursive: true })
  })

  it('races the host’s hands with what its setup left: nothing moves while they are in /out', async () => {
    const secrets = join(sandbox.root, 'secrets')
    await mkdir(join(secrets, 'd'), { recursive: true })
    await writeFile(join(secrets, 'd', 'file'), 'mine')
    // Swaps a directory for a link to one of the host's, as fast as it can.
    const racer = `(cd /out; while :; do mkdir x; echo mine >x/file; mv x d; mv d y; ln -s ${secrets}/d d; rm d; rm -r y; done) 2>/dev/null & echo up`
    const warm = await WarmForTests.open(sandbox, { setup: racer })
    // So fast after each other that an engine's own pause gets confused.
    for (let round = 0; round < 100; round += 1) {
      const task = await warm.start('true')
      expect(await task.wait()).toEqual({ ...FINE, shared: true })
      const seen = await lstat(join(warm.warm.outDir, 'd')).catch(() => undefined)
      for (let look = 0; look < 20; look += 1) {
        const now = await lstat(join(warm.warm.outDir, 'd')).catch(() => undefined)
        expect([now?.ino, now?.ctimeMs]).toEqual([seen?.ino, seen?.ctimeMs])
      }
      await task.remove()
      expect(await readFile(join(secrets, 'd', 'file'), 'utf8')).toBe('mine')
    }
    await warm.warm.close()
  })

  it('cannot write what it is given, nor see what the one before was given', async () => {
    const warm = await WarmForTests.open(sandbox)
    const first = await warm.staged({ 'a/secret': 'of the first', same: 'both' })
    const second = await warm.staged({ same: 'both' })
    await warm.run('cat /in/a/secret >/dev/null; cd /in/a; exec 9</in/a/secret; sleep 100 <&9 &', {
      inDir: first,
    })
    const { stdout } = await warm.run(
      'find /in -type f; echo x 2>/dev/null >/in/same || echo no; rm /in/same 2>/dev/null || echo no; ls /proc/[0-9]*/fd/9 2>/dev/null',
      { inDir: second },
    )
    expect(stdout).toBe('/in/same\nno\nno\n')
    expect(await readFile(join(second, 'same'), 'utf8')).toBe('both')
    await warm.warm.close()
  })

  it('ends in a moment whatever it does when it is killed', async () => {
    const warm = await WarmForTests.open(sandbox, { setup: SERVER })
    const task = await warm.start('trap "" TERM; while :; do yes; done')
    const reading = textOf(task)
    await until(async () => (await task.stats()).cpuMs > 0, 'it runs')
    await task.kill()
    expect(await task.wait()).toMatchObject({ reason: 'stopped' })
    await reading
    await task.remove()
    expect(warm.warm.usable).toBe(false)
  })

  it('finds no other host’s link in the place of its inputs', async () => {
    const warm = await WarmForTests.open(sandbox)
    const inDir = await warm.staged({ a: 'a' })
    await symlink('/etc/passwd', join(inDir, 'link'))
    const { stdout } = await warm.run('cat /in/link | head -c 4; ls /in', { inDir })
    // A name of the link, not of what it leads to on the host.
    expect(stdout).not.toContain('root:x:0:0:root:/root:/bin/bash')
    await warm.warm.close()
  })
})
