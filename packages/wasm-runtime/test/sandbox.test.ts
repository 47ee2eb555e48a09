import { lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { WASM_LIMITS } from '../src/index.ts'
import { ERRNO, WasiError } from '../src/wasi/errno.ts'
import { Quota } from '../src/wasi/quota.ts'
import { linesOf, MIB, openRuntime, said, until } from './harness.ts'

describe('files of the host', () => {
  it('are out of reach, whatever the path', async () => {
    const { inDir, root, run } = await openRuntime()
    await mkdir(join(inDir, 'sub'))
    await writeFile(join(root, 'secret'), 'secret')
    const escapes = [
      '../secret',
      '../../etc/passwd',
      'sub/../../secret',
      'sub/../../../../../../etc/passwd',
      './../secret',
      '..',
    ]
    const { stdout } = await run(['open', ...escapes])
    for (const line of linesOf(stdout)) {
      const [fromIn, fromOut] = line.split(' ').map(Number)
      expect(fromIn).toBe(ERRNO.NOTCAPABLE)
      // In /out the directory sub is missing, which is told first.
      expect([ERRNO.NOTCAPABLE, ERRNO.NOENT]).toContain(fromOut)
    }
    expect(linesOf(stdout)).toHaveLength(escapes.length)
  })

  it('are out of reach by absolute paths, also those that exist', async () => {
    const { root, run } = await openRuntime()
    await writeFile(join(root, 'secret'), 'secret')
    const { stdout } = await run(['open', '/etc/passwd', join(root, 'secret'), '/', '//etc'])
    expect(linesOf(stdout)).toEqual(Array(4).fill(`${ERRNO.NOTCAPABLE} ${ERRNO.NOTCAPABLE}`))
  })

  it('are not shown through links that lie in /in', async () => {
    const { inDir, root, run } = await openRuntime()
    await writeFile(join(root, 'secret'), 'secret')
    await symlink(join(root, 'secret'), join(inDir, 'link'))
    await symlink(root, join(inDir, 'up'))
    const { stdout } = await run(['open', 'link', 'up/secret'])
    expect(linesOf(stdout).map((line) => line.split(' ')[0])).toEqual(
      Array(2).fill(`${ERRNO.NOENT}`),
    )
    expect(linesOf((await run(['list', 'in'])).stdout)).toEqual(['.', '..'])
  })

  it('are not written through links that lie in /out', async () => {
    const { outDir, root, run } = await openRuntime()
    await writeFile(join(root, 'victim'), 'untouched')
    await symlink(join(root, 'victim'), join(outDir, 'result'))
    await symlink(root, join(outDir, 'dir'))
    expect((await run(['write', 'result', 'new'])).exit.exitCode).toBe(0)
    expect((await run(['write', 'dir/victim', 'new'])).exit.exitCode).toBe(0)
    expect(await readFile(join(root, 'victim'), 'utf8')).toBe('untouched')
    expect((await lstat(join(outDir, 'dir'))).isDirectory()).toBe(true)
    expect(await readFile(join(outDir, 'dir/victim'), 'utf8')).toBe('new')
  })

  it('cannot be linked to', async () => {
    const { outDir, run } = await openRuntime()
    const { stdout } = await run(['links'])
    expect(linesOf(stdout)).toEqual([`${ERRNO.NOTSUP}`, `${ERRNO.NOTSUP}`])
    expect(await readdir(outDir)).toEqual(['plain'])
  })

  it('cannot be created with names that other systems read differently', async () => {
    const { outDir, run } = await openRuntime()
    const { stdout } = await run([
      'names',
      'a\nb',
      'a\\..\\b',
      'x'.repeat(256),
      'y'.repeat(255),
      'ok',
    ])
    const { INVAL, NAMETOOLONG } = ERRNO
    expect(linesOf(stdout).map(Number)).toEqual([INVAL, INVAL, NAMETOOLONG, 0, 0])
    expect((await readdir(outDir)).sort()).toEqual(['ok', 'y'.repeat(255)])
  })

  it('are given as /in and /out only', async () => {
    const { run } = await openRuntime()
    expect(linesOf((await run(['preopens'])).stdout)).toEqual(['0', '0', `${ERRNO.BADF}`])
  })

  it('below /in cannot be written', async () => {
    const { inDir, run } = await openRuntime()
    await writeFile(join(inDir, 'input'), 'mine')
    for (const verb of ['overwrite', 'open-for-writing']) {
      expect((await run([verb, 'input'])).exit.exitCode).toBe(ERRNO.ROFS)
    }
    expect(await readFile(join(inDir, 'input'), 'utf8')).toBe('mine')
  })
})

describe('inputs', () => {
  /** All that can be changed of a file or directory. */
  const factsOf = async (path: string) => {
    const { mode, uid, gid, ino, nlink, size, mtimeNs, ctimeNs } = await lstat(path, {
      bigint: true,
    })
    return { mode, uid, gid, ino, nlink, size, mtimeNs, ctimeNs }
  }

  it('cannot be altered by any call, even where the host could write to them', async () => {
    const { inDir, run } = await openRuntime()
    await mkdir(join(inDir, 'scene'))
    await writeFile(join(inDir, 'scene/a'), 'mine', { mode: 0o666 })
    const facts = async () =>
      Promise.all(['', 'scene', 'scene/a'].map((name) => factsOf(join(inDir, name))))
    const before = await facts()
    const { stdout, exit } = await run(['alter', 'scene/a'])
    expect(exit.exitCode).toBe(0)
    const answers = linesOf(stdout).map((line) => line.split(' '))
    expect(answers).toHaveLength(16)
    expect(answers.filter(([, error]) => error === '0')).toEqual([])
    expect(await facts()).toEqual(before)
    expect(await readFile(join(inDir, 'scene/a'), 'utf8')).toBe('mine')
    expect(await readdir(inDir, { recursive: true })).toEqual(['scene', 'scene/a'])
  })
})

describe('a greedy module', () => {
  it('gets no more descriptors than the limit', async () => {
    const { run } = await openRuntime()
    const { stdout } = await run(['descriptors'])
    // Five are open from the start, one for the file that it made.
    expect(stdout).toBe(`${WASM_LIMITS.descriptors - 6} ${ERRNO.MFILE}\n`)
  })

  it('gets no more files than the limit', async () => {
    const quota = new Quota(1024 * MIB, () => {})
    for (let made = 0; made < WASM_LIMITS.outEntries; made += 1) quota.addEntry()
    expect(() => quota.addEntry()).toThrow(WasiError)
    quota.removeEntry()
    quota.addEntry()
  })

  it('pays for files without content too', async () => {
    const { run } = await openRuntime()
    expect((await run(['entries'], { diskBytes: MIB })).exit.reason).toBe('disk')
  })

  it('makes no deeper directories than the limit', async () => {
    const { run } = await openRuntime()
    expect((await run(['depth'])).stdout).toBe(`${WASM_LIMITS.pathDepth}\n`)
  })

  it('pays for what it removed while it is still open', async () => {
    const { run } = await openRuntime()
    expect((await run(['fill-unlinked'], { diskBytes: 8 * MIB })).exit.reason).toBe('disk')
  })

  it.each([2 ** 31, 2 ** 53, 2 ** 62])(
    'cannot reach past its quota by a hole of %d',
    async (size) => {
      const { run } = await openRuntime()
      const { exit } = await run(['sparse', BigInt(size).toString()])
      // A hole that no number here can hold is answered as an error instead.
      if (size < 2 ** 53) expect(exit.reason).toBe('disk')
      else expect(exit).toMatchObject({ reason: 'exited', oom: false })
    },
  )

  it('is answered with an error where sizes and pointers lie outside its memory', async () => {
    const { run } = await openRuntime()
    const { exit, stdout } = await run(['lengths'])
    const { FAULT, INVAL } = ERRNO
    expect(linesOf(stdout).map(Number)).toEqual([FAULT, FAULT, FAULT, INVAL, FAULT, FAULT])
    expect(exit.exitCode).toBe(0)
  })

  it('has no sockets', async () => {
    const { run } = await openRuntime()
    const { stdout } = await run(['sockets'])
    const answer = `${ERRNO.NOTSOCK} ${ERRNO.NOTSOCK} ${ERRNO.NOTSOCK}`
    expect(linesOf(stdout)).toEqual(Array(6).fill(answer))
  })

  it('has no clock finer than a millisecond', async () => {
    const { run } = await openRuntime()
    expect((await run(['clock'])).stdout).toBe('true\n')
  })

  it('sees nothing of the environment of the host', async () => {
    const { run } = await openRuntime()
    expect((await run(['env'], { env: { ONLY: 'this' } })).stdout).toBe('ONLY=this\n')
  })

  it('ends where its memory ends', async () => {
    const { start, run } = await openRuntime()
    const task = await start(['bomb'], { memoryBytes: 24 * MIB })
    expect(await task.wait()).toMatchObject({ exitCode: 134, oom: true, reason: 'exited' })
    const { memoryPeak } = await task.stats()
    expect(memoryPeak).toBeGreaterThan(20 * MIB)
    expect(memoryPeak).toBeLessThanOrEqual(24 * MIB)
    expect((await run(['trap'], { memoryBytes: 24 * MIB })).exit.oom).toBe(false)
  })

  it('ends as a trap when it recurses for ever', async () => {
    const { run } = await openRuntime()
    const { exit, stderr } = await run(['recurse'])
    expect(exit).toMatchObject({ exitCode: 134, oom: false, reason: 'exited' })
    expect(stderr).toContain('call stack')
  })

  it('does not fill the host with its output', async () => {
    const { start } = await openRuntime()
    const task = await start(['flood-for-ever'])
    await said(task, 'abcde')
    const before = process.memoryUsage().rss
    // A second of writing is hundreds of megabytes, and nobody reads any more.
    await until(async () => (await task.stats()).cpuMs > 1000, 'the task has written for a second')
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * MIB)
    await task.kill()
    expect((await task.wait()).reason).toBe('stopped')
    let kept = 0
    for await (const { bytes } of task.output()) kept += bytes.length
    expect(kept).toBeLessThanOrEqual(LIMITS.logBytes)
  })
})
