import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { canKeepSecrets, secretsRoot, sweepSecrets, writeSecrets } from '../src/secret-files.ts'
import { sh } from './busybox-programs.ts'
import { engine, engineForTests } from './engine-for-tests.ts'
import { SandboxForTests } from './sandbox-for-tests.ts'

const SECRET = 'hunter2-correct-horse'
const secrets = { token: Buffer.from(SECRET), 'key.pem': Buffer.from([0, 255, 10]) }

describe.skipIf(!(await engineForTests()))('secrets', () => {
  it('are files that the task alone can read, and cannot change', async () => {
    await using sandbox = await SandboxForTests.open()
    expect(sandbox.runtime.capabilities.secrets).toBe(true)
    const { stdout } = await sandbox.run(
      sh(
        'cat /run/secrets/token; echo; sha256sum </run/secrets/key.pem; stat -c "%a %u" /run/secrets /run/secrets/token;' +
          'grep " /run/secrets " /proc/mounts | cut -d " " -f 1-3;' +
          'for f in /run/secrets/x /run/secrets/token; do (echo x >$f) 2>/dev/null && echo "wrote $f"; done;' +
          'rm /run/secrets/token 2>/dev/null && echo removed; true',
      ),
      { secrets },
    )
    const digest = createHash('sha256').update(secrets['key.pem']).digest('hex')
    expect(stdout).toBe(`${SECRET}\n${digest}  -\n500 10001\n400 10001\ntmpfs /run/secrets tmpfs\n`)
  })

  it('are nowhere that the engine, a log or the state directory shows', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('sleep 100'), { secrets })
    const seen = JSON.stringify(await engine.getContainer(task.handle.id).inspect())
    expect(seen).not.toContain(SECRET)
    expect(JSON.stringify(task.handle)).not.toContain(SECRET)
    for (const name of await readdir(sandbox.root, { recursive: true })) {
      const path = join(sandbox.root, name)
      if (!(await stat(path)).isFile()) continue
      expect((await readFile(path)).includes(SECRET), name).toBe(false)
    }
    await task.remove()
  })

  it('go with the container, also after a restart and after a start that failed', async () => {
    await using sandbox = await SandboxForTests.open()
    const root = secretsRoot(sandbox.hostInstance)
    await expect(
      sandbox.start({ ...sh(''), command: ['/no/such'] }, { secrets }),
    ).rejects.toMatchObject({ code: 'COMMAND_INVALID' })
    expect(existsSync(root)).toBe(false)
    const { task } = await sandbox.start(sh('sleep 100'), { secrets })
    expect(await readdir(root)).toHaveLength(1)
    await sandbox.reopen()
    await sandbox.runtime.list()
    expect(await readdir(root)).toHaveLength(1)
    await (await sandbox.runtime.recover(task.handle))?.remove()
    expect(existsSync(root)).toBe(false)
  })

  it('of containers that are gone are swept', async () => {
    await using sandbox = await SandboxForTests.open()
    const root = secretsRoot(sandbox.hostInstance)
    const { task } = await sandbox.start(sh('sleep 100'), { secrets })
    await sandbox.runtime.close()
    await engine.getContainer(task.handle.id).remove({ force: true })
    await sandbox.reopen()
    expect(await sandbox.runtime.list()).toEqual([])
    expect(existsSync(root)).toBe(false)
  })

  it.for(['a/b', '..', ''])('named %j are refused', async (bad) => {
    await using sandbox = await SandboxForTests.open()
    await expect(
      sandbox.start(sh('true'), { secrets: { [bad]: Buffer.from('x') } }),
    ).rejects.toMatchObject({
      code: 'SPEC_INVALID',
    })
    expect(await sandbox.runtime.list()).toEqual([])
  })
})

describe('the place for secrets', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'manyhands-secrets-'))
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))
  const user = { uid: 10001, gid: 10001 }

  it('is in memory, or nothing is written', async () => {
    expect(await canKeepSecrets('/proc')).toBe(false)
    expect(await canKeepSecrets('/no/such')).toBe(false)
    const root = join('/proc', 'self')
    await expect(writeSecrets(root, 'a', secrets, user)).rejects.toMatchObject({
      code: expect.stringMatching(/UNSUPPORTED|RUNTIME_FAILED/),
    })
  })

  it('is not one that somebody else has made', async () => {
    const open = join(directory, 'open')
    await mkdir(open, { mode: 0o777 })
    const linked = join(directory, 'linked')
    await mkdir(join(directory, 'elsewhere'), { mode: 0o700 })
    await symlink(join(directory, 'elsewhere'), linked)
    await writeFile(join(directory, 'elsewhere', 'precious'), '')
    for (const root of [open, linked]) {
      await expect(writeSecrets(root, 'a', secrets, user)).rejects.toMatchObject({
        code: 'RUNTIME_FAILED',
      })
      await sweepSecrets(root, () => false)
    }
    expect(await readdir(join(directory, 'elsewhere'))).toEqual(['precious'])
  })
})
