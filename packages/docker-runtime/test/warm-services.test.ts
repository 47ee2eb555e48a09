import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { afterEach, describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { egressForTests, LOOPBACK } from './egress-for-tests.ts'
import { engine, engineForTests, leftovers } from './engine-for-tests.ts'
import { SandboxForTests, until } from './sandbox-for-tests.ts'
import { WarmForTests } from './warm-for-tests.ts'

const MIB = 1024 ** 2
const FINE = { exitCode: 0, reason: 'exited' }
const egress = await egressForTests()

/** Says in a visible line why a test cannot run here. */
function skipped(why: string | undefined): boolean {
  if (why !== undefined) process.stderr.write(`warm volumes skipped: ${why}\n`)
  return why !== undefined
}

describe.skipIf(!(await engineForTests()))('a warm container', () => {
  let sandbox: SandboxForTests
  afterEach(async () => {
    await sandbox[Symbol.asyncDispose]()
    expect(await leftovers(sandbox.hostInstance)).toEqual([])
  })

  it('lets every task out to what is listed and to nothing else, and counts for each', async () => {
    sandbox = await SandboxForTests.open(LOOPBACK)
    const { destination, url, answer } = egress.listed
    const warm = await WarmForTests.open(sandbox, {
      spec: { networkProfile: { egress: [destination] } },
    })
    for (let round = 0; round < 3; round += 1) {
      const task = await warm.start(
        `wget -q -O /out/a ${url} && cat /out/a; wget -q -O - ${egress.unlisted[0]} 2>/dev/null && echo bad; exit 0`,
      )
      let said = ''
      for await (const { bytes } of task.output()) said += Buffer.from(bytes).toString()
      expect(said).toBe(answer)
      expect(await task.wait()).toMatchObject(FINE)
      const { netIn } = await task.stats()
      expect(netIn).toBeGreaterThan(0)
      expect(netIn).toBeLessThan(4096)
      await task.remove()
    }
    await warm.warm.close()
  })

  it('shows its secrets to every task, and lets the host reach a port of its setup', async () => {
    sandbox = await SandboxForTests.open()
    const warm = await WarmForTests.open(sandbox, {
      setup:
        'nc -ll -p 9000 -e cat /run/secrets/key & until grep -q :2328 /proc/net/tcp*; do sleep 0.1; done',
      spec: { secrets: { key: Buffer.from('a secret') }, ports: [9000] },
    })
    for (let round = 0; round < 2; round += 1) {
      const task = await warm.start('cat /run/secrets/key; sleep 1')
      const connection = await task.dial!(9000, {})
      await connection.close()
      let answer = ''
      for await (const bytes of connection.readable) answer += Buffer.from(bytes).toString()
      expect(answer).toBe('a secret')
      expect(await task.wait()).toMatchObject(FINE)
      await task.remove()
    }
    await warm.warm.close()
  })

  it('is removed by the next process also when the last one died while it was held', async () => {
    sandbox = await SandboxForTests.open()
    const warm = await WarmForTests.open(sandbox, {
      setup: '(while :; do sleep 1; done) & echo up',
    })
    const task = await warm.start('true')
    expect(await task.wait()).toMatchObject({ ...FINE, shared: true })
    const next = docker({ reaper: false })
    await next.open({ hostInstance: sandbox.hostInstance, stateDir: sandbox.root })
    expect(await next.recover(task.handle)).toBe(undefined)
    expect(await leftovers(sandbox.hostInstance)).toEqual([])
    await next.close()
  })
})

const canMount = process.platform === 'linux' && process.getuid?.() === 0
describe.skipIf(
  skipped(canMount ? undefined : 'only root on Linux mounts volumes') || !(await engineForTests()),
)('a warm container with a volume', () => {
  it('gives each task the whole of it, and what was removed back to the disk', async () => {
    await using sandbox = await SandboxForTests.open({ diskQuota: 'loop' })
    const warm = await WarmForTests.open(sandbox, { resources: { diskBytes: 16 * MIB } })
    const volumes = join(sandbox.root, 'volumes')
    const [image] = (await readdir(volumes)).filter((name) => name.endsWith('.img'))
    const used = async () => (await stat(join(volumes, image!))).blocks * 512
    for (let round = 0; round < 3; round += 1) {
      // Not all zeroes: those would not be written.
      const { exit } = await warm.run(
        'head -c 12000000 /dev/urandom >/out/a; sync; ls /out | wc -l',
      )
      expect(exit).toMatchObject(FINE)
    }
    await warm.run('sync')
    await until(async () => (await used()) < 4 * MIB, 'the disk has it back')
    const task = await warm.start(
      'for f in a b; do head -c 12000000 /dev/zero >/out/$f; done; sleep 5',
    )
    expect((await task.wait()).reason).toBe('disk')
    await task.remove()
    expect(warm.warm.usable).toBe(false)
    expect(await readdir(volumes)).toEqual([])
    expect(
      await engine.listContainers({
        filters: { label: [`manyhands.host=${sandbox.hostInstance}`] },
      }),
    ).toEqual([])
  })
})
