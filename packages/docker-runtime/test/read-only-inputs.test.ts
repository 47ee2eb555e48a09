import { createHash } from 'node:crypto'
import { chmod, chown, copyFile, lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BUSYBOX_IMAGE } from '../../../scripts/docker-images.ts'
import { compiledProgram } from '../../testing/test/compiled-program.ts'
import { sh } from './busybox-programs.ts'
import { engineForTests } from './engine-for-tests.ts'
import { SandboxForTests } from './sandbox-for-tests.ts'

const program = await compiledProgram('alter-inputs')
const engine = await engineForTests()

/** All that can be changed of a tree. */
async function factsOf(dir: string): Promise<Record<string, unknown>> {
  const facts: Record<string, unknown> = {}
  const names = await readdir(dir, { recursive: true })
  for (const name of ['', ...names.sort()]) {
    const path = join(dir, name)
    const { mode, uid, gid, nlink, size, mtimeNs, ctimeNs, ino } = await lstat(path, {
      bigint: true,
    })
    const hash = (await lstat(path)).isFile()
      ? createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
      : ''
    // The runtime itself lets the task into the directory, which is a change.
    const changed = name === '' ? mtimeNs : ctimeNs
    facts[name] = { mode, uid, gid, nlink, size, mtimeNs, changed, ino, hash }
  }
  return facts
}

describe.skipIf(!engine)('the inputs of a container', () => {
  let sandbox: SandboxForTests
  beforeAll(async () => {
    sandbox = await SandboxForTests.open()
  })
  afterAll(() => sandbox[Symbol.asyncDispose]())

  it('are mounted read-only', async () => {
    const { stdout } = await sandbox.run(sh('grep " /in " /proc/self/mountinfo'), {
      inputs: { a: 'mine' },
    })
    expect(stdout.trim().split('\n')).toHaveLength(1)
    expect(stdout.split(' ')[5]!.split(',')).toContain('ro')
  })

  it.skipIf(program === undefined)(
    'cannot be altered by any call, even where they belong to the task',
    async () => {
      let before: Record<string, unknown> = {}
      let inDir = ''
      const { stdout, exit } = await sandbox.run(
        { image: BUSYBOX_IMAGE, command: ['/in/alter', '/in', 'a'] },
        {
          inputs: { a: 'mine', alter: '' },
          // Owners and modes protect nothing here: what is left is the mount.
          prepare: async (dir) => {
            inDir = dir
            await copyFile(program!, join(dir, 'alter'))
            await chmod(join(dir, 'alter'), 0o755)
            await chmod(join(dir, 'a'), 0o666)
            for (const name of ['a', 'alter', '.']) await chown(join(dir, name), 10001, 10001)
            await chmod(dir, 0o755)
            before = await factsOf(dir)
          },
        },
      )
      expect(stdout).toBe('tried\n')
      expect(exit.exitCode).toBe(0)
      expect(await factsOf(inDir)).toEqual(before)
    },
  )
})
