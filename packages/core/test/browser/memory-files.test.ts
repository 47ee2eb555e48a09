import * as nodeFs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { MemoryFiles } from '../../src/browser/memory-files.ts'
import * as memoryFs from '../../src/browser/node-fs.ts'
import * as memoryFsPromises from '../../src/browser/node-fs-promises.ts'

const realRoot = nodeFs.mkdtempSync(join(tmpdir(), 'manyhands-files-'))
const memoryRoot = memoryFs.mkdtempSync('/tmp/files-')
afterAll(() => nodeFs.rmSync(realRoot, { recursive: true, force: true }))

const name = fc.constantFrom('a', 'b', 'c')
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
const text = fc.string({ minLength: 1, maxLength: 40 })
const flag = fc.constantFrom('r+', 'w', 'wx', 'a')

const call = fc.oneof(
  fc.record({ do: fc.constant('mkdir'), path, recursive: fc.boolean() }),
  fc.record({ do: fc.constant('put'), path, text, flag }),
  fc.record({ do: fc.constant('get'), path }),
  fc.record({ do: fc.constant('patch'), path, text, at: fc.nat(60) }),
  fc.record({ do: fc.constant('truncate'), path, size: fc.nat(80) }),
  fc.record({ do: fc.constant('rename'), path, to: path }),
  fc.record({ do: fc.constant('link'), path, to: path }),
  fc.record({ do: fc.constant('copy'), path, to: path }),
  fc.record({ do: fc.constant('unlink'), path }),
  fc.record({ do: fc.constant('rmdir'), path }),
  fc.record({ do: fc.constant('rm'), path, recursive: fc.boolean(), force: fc.boolean() }),
  fc.record({ do: fc.constant('list'), path }),
  fc.record({ do: fc.constant('stat'), path }),
)
type Call = typeof call extends fc.Arbitrary<infer Value> ? Value : never

/** What a call comes to, as far as programs look at it. */
function outcome(fs: typeof nodeFs, root: string, call: Call): unknown {
  const at = `${root}/${call.path}`
  const asked = call as Call & Record<'to' | 'text' | 'flag', string> & { at: number; size: number }
  try {
    switch (call.do) {
      case 'mkdir': {
        const first = fs.mkdirSync(at, call as { recursive?: boolean })
        return first?.slice(root.length)
      }
      case 'put':
        return fs.writeFileSync(at, asked.text, { flag: asked.flag })
      case 'get':
        return String(fs.readFileSync(at, 'utf8'))
      case 'patch': {
        const fd = fs.openSync(at, 'r+')
        try {
          return fs.writeSync(fd, Buffer.from(asked.text), 0, undefined, asked.at)
        } finally {
          fs.closeSync(fd)
        }
      }
      case 'truncate':
        return fs.truncateSync(at, asked.size)
      case 'rename':
        return fs.renameSync(at, `${root}/${asked.to}`)
      case 'link':
        return fs.linkSync(at, `${root}/${asked.to}`)
      case 'copy':
        return fs.copyFileSync(at, `${root}/${asked.to}`)
      case 'unlink':
        return fs.unlinkSync(at)
      case 'rmdir':
        return fs.rmdirSync(at)
      case 'rm':
        return fs.rmSync(at, call as { recursive?: boolean; force?: boolean })
      case 'list':
        return fs.readdirSync(at).sort()
      default: {
        const found = fs.lstatSync(at)
        return found.isDirectory() ? 'directory' : { size: found.size, nlink: found.nlink }
      }
    }
  } catch (error) {
    return { failed: 'to' in call || codeOf((error as { code: string }).code) }
  }
}

/** Which of two things that are wrong is told first differs even between systems, above all with two paths. */
function codeOf(code: string): string {
  const same = ['EPERM', 'EISDIR', 'ERR_FS_EISDIR', 'EINVAL', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST']
  return same.includes(code) ? 'in the way' : code
}

test('files in memory do what files on a disk do', () => {
  let run = 0
  fc.assert(
    fc.property(fc.array(call, { maxLength: 40 }), (calls) => {
      run += 1
      const [real, memory] = [join(realRoot, `${run}`), `${memoryRoot}/${run}`]
      nodeFs.mkdirSync(real)
      memoryFs.mkdirSync(memory)
      for (const each of calls) {
        const there = outcome(nodeFs, real, each)
        const here = outcome(memoryFs as unknown as typeof nodeFs, memory, each)
        expect(here, JSON.stringify(each)).toEqual(there)
      }
    }),
    { numRuns: 300 },
  )
})

test('a file that is open stays readable when its name is gone, and its memory comes back', async () => {
  const files = new MemoryFiles(1000)
  const open = files.open('/file', 'wx+')
  if (!('write' in open.node)) throw new Error('no file')
  open.node.write(new Uint8Array(600).fill(7), 0)
  files.unlink('/file')
  expect(open.node.size).toBe(600)
  expect(files.usedBytes).toBe(600)
  files.close(open)
  expect(files.usedBytes).toBe(0)
})

test('what does not fit fails as on a full disk, and changes nothing', () => {
  const files = new MemoryFiles(1000)
  const { node } = files.open('/file', 'w')
  if (!('write' in node)) throw new Error('no file')
  node.write(new Uint8Array(900), 0)
  expect(() => node.write(new Uint8Array(200), 900)).toThrow(
    expect.objectContaining({ code: 'ENOSPC' }),
  )
  expect(node.size).toBe(900)
  files.rm('/file')
  // Still open: the memory is not there for others yet.
  expect(() => files.mkdir('/file')).not.toThrow()
})

test('every change of a file is seen in its times', async () => {
  const path = `${memoryRoot}/times`
  await memoryFsPromises.writeFile(path, 'a')
  const before = await memoryFsPromises.stat(path, { bigint: true })
  await memoryFsPromises.writeFile(path, 'b')
  const after = await memoryFsPromises.stat(path, { bigint: true })
  expect(after?.mtimeNs).toBeGreaterThan(before?.mtimeNs as bigint)
  await memoryFsPromises.chmod(path, 0o444)
  const later = await memoryFsPromises.stat(path, { bigint: true })
  expect(later?.mtimeNs).toBe(after?.mtimeNs)
  expect(later?.ctimeNs).toBeGreaterThan(after?.ctimeNs as bigint)
})

test('a directory is listed while it is emptied', async () => {
  await memoryFsPromises.mkdir(`${memoryRoot}/listed`)
  for (const file of ['a', 'b', 'c']) {
    await memoryFsPromises.writeFile(`${memoryRoot}/listed/${file}`, file)
  }
  const seen: string[] = []
  for await (const { name } of await memoryFsPromises.opendir(`${memoryRoot}/listed`)) {
    seen.push(name)
    await memoryFsPromises.rm(`${memoryRoot}/listed/${name}`)
  }
  expect(seen).toEqual(['a', 'b', 'c'])
})
