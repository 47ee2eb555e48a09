import { createHash } from 'node:crypto'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { docker } from '@manyhands/docker-runtime'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engineForTests } from '../../docker-runtime/test/engine-for-tests.ts'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'
import { compiledProgram } from './compiled-program.ts'
import { removeContainersOf, sh } from './docker-for-tests.ts'

const program = await compiledProgram('alter-inputs')
const engine = await engineForTests()

/** Inode, mode, owner and bytes of every file that a store has by content. */
async function contentsOf(store: string): Promise<Record<string, string>> {
  const contents: Record<string, string> = {}
  const dir = join(store, 'cas')
  for (const name of await readdir(dir, { recursive: true })) {
    const path = join(dir, name)
    const { ino, mode, uid, gid, size, mtimeMs } = await lstat(path)
    if (name.length < 64) continue
    const hash = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    contents[name] = [ino, mode.toString(8), uid, gid, size, mtimeMs, hash].join(' ')
  }
  return contents
}

describe.skipIf(!engine)('what a host keeps of inputs', () => {
  let dir: string
  let network: LocalNetwork
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-inputs-'))
    await mkdir(join(dir, 'scene/textures'), { recursive: true })
    await writeFile(join(dir, 'scene/a'), 'a scene')
    await writeFile(join(dir, 'scene/textures/b'), 'a texture')
    network = await createLocalNetwork({
      hosts: [{ share: { cpus: 1, memory: '1GiB', disk: '4GiB' }, state: join(dir, 'host') }],
      runtimes: () => [docker()],
    })
  })
  afterEach(async () => {
    await network.close()
    await removeContainersOf(...network.hosts.map(({ instance }) => instance))
    await rm(dir, { recursive: true, force: true })
  })
  const store = () => contentsOf(join(dir, 'host/store'))

  it.skipIf(program === undefined)('is the same after a task that tried everything', async () => {
    const inputs = { '/in/scene': join(dir, 'scene'), '/in/alter': program! }
    const run = async (command: string[]) => {
      const { resources, runtime, image } = sh('')
      const spec = { resources, runtime, image, command, inputs, tasks: ['a'] }
      const job = await network.client.submit({ ...spec, retry: { attempts: 1 } })
      const [result] = await Array.fromAsync(job.results())
      return result!
    }
    const cat = ['/bin/cat', '/in/scene/a', '/in/scene/textures/b']
    expect((await run(cat)).stdoutTail).toBe('a scenea texture')
    const before = await store()
    expect(Object.keys(before).length).toBeGreaterThanOrEqual(3)
    for (const place of ['/in/scene', '/in/scene/textures']) {
      const name = place.endsWith('scene') ? 'a' : 'b'
      const { stdoutTail, error } = await run(['/in/alter', place, name])
      expect([stdoutTail, error]).toEqual(['tried\n', undefined])
    }
    expect((await run(cat)).stdoutTail).toBe('a scenea texture')
    expect(await store()).toEqual(before)
  })

  it('is the same where the one input is /in itself', async () => {
    const run = async (script: string) => {
      const job = await network.client.submit({
        ...sh(script),
        inputs: { '/in': join(dir, 'scene/a') },
        tasks: ['a'],
      })
      const [result] = await Array.fromAsync(job.results())
      return result!
    }
    const attacks = 'chmod 777 /in || echo x >/in || rm /in || mv /in /out/in'
    expect((await run(`(${attacks}) 2>/dev/null; cat /in`)).stdoutTail).toBe('a scene')
    const modes = Object.values(await store()).map((facts) => facts.split(' ')[1])
    expect(modes).toEqual(['100444'])
  })
})
