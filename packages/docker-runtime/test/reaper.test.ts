import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loopObstacle } from '../src/disk/quota-kind.ts'
import { createEngine } from '../src/engine.ts'
import { type DockerOptions, docker } from '../src/index.ts'
import { reap } from '../src/reaper/reap.ts'
import { sh } from './busybox-programs.ts'
import { engine, engineForTests, leftovers } from './engine-for-tests.ts'
import { SandboxForTests, until } from './sandbox-for-tests.ts'

const run = promisify(execFile)
const PROGRAM = new URL('./programs/host-to-kill.ts', import.meta.url).pathname

let root: string
let hostInstance: string
let children: ChildProcess[]
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'manyhands-reaper-'))
  hostInstance = `reaper-${randomUUID()}`
  children = []
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  for (const pid of await reapers(hostInstance)) process.kill(pid, 'SIGKILL')
  const label = [`manyhands.host=${hostInstance}`]
  for (const { Id } of await engine.listContainers({ all: true, filters: { label } })) {
    await engine.getContainer(Id).remove({ force: true })
  }
  for (const at of await mountsBelow(root)) await run('umount', ['--lazy', at])
  await rm(root, { recursive: true, force: true })
})

async function startHost(options: DockerOptions): Promise<{ child: ChildProcess; ids: string[] }> {
  const args = ['--conditions=@manyhands/source', PROGRAM]
  const child = spawn(
    process.execPath,
    [...args, JSON.stringify({ root, hostInstance, options })],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      // A group of its own, which can be killed as a whole.
      detached: true,
    },
  )
  children.push(child)
  const ended = once(child, 'exit').then(() => {
    throw new Error('the host ended before it was ready')
  })
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout! }), 'line'),
    ended,
  ])
  ended.catch(() => {})
  return { child, ids: JSON.parse(line as string) }
}

/** Kills a process and everything in its group, as a terminal or a supervisor would. */
async function killGroup(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  process.kill(-child.pid!, 'SIGKILL')
  await gone
}

/** Processes that clean up after a host instance. */
async function reapers(instance: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found: number[] = []
  for (const pid of pids) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes('reaper-program') && command.includes(instance)) found.push(Number(pid))
  }
  return found
}

async function mountsBelow(directory: string): Promise<string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n')
  return lines
    .map((line) => line.split(' ')[1] ?? '')
    .filter((at) => at.startsWith(`${directory}/`))
}

const canLoop =
  (await engineForTests()) &&
  (await loopObstacle(createEngine({ socketPath: '/var/run/docker.sock' }), tmpdir())) === undefined
const diskQuota = canLoop ? 'loop' : 'poll'

describe.skipIf(!(await engineForTests()))('a host that was killed', () => {
  it('and never comes back leaves nothing; other hosts keep what is theirs', async () => {
    await using other = await SandboxForTests.open()
    const neighbour = await other.start(sh('sleep 1000'))
    const { child } = await startHost({ diskQuota, reaper: { afterMs: 300 } })
    expect(await reapers(hostInstance)).toHaveLength(1)
    expect(await mountsBelow(root)).toHaveLength(canLoop ? 2 : 0)
    await killGroup(child)
    await until(async () => (await reapers(hostInstance)).length === 0, 'the reaper has ended')
    expect(await leftovers(hostInstance)).toEqual([])
    expect(await mountsBelow(root)).toEqual([])
    expect(await readdir(join(root, 'containers'))).toEqual([])
    expect(await readdir(join(root, 'volumes')).catch(() => [])).toEqual([])
    const { stdout } = await run('losetup', ['--list', '--noheadings', '--output', 'BACK-FILE'])
    expect(stdout.split('\n').filter((file) => file.trim().startsWith(root))).toEqual([])
    expect(await other.runtime.list()).toEqual([neighbour.task.handle])
    await neighbour.task.remove()
  })

  it('and comes back in time finds everything, and keeps it', async () => {
    const { child, ids } = await startHost({ diskQuota, reaper: { afterMs: 3000 } })
    await killGroup(child)
    const runtime = docker({ diskQuota, reaper: false })
    await runtime.open({ hostInstance, stateDir: root })
    await until(async () => (await reapers(hostInstance)).length === 0, 'the reaper has ended')
    const handles = await runtime.list()
    expect(handles.map((handle) => handle.id).sort()).toEqual([...ids].sort())
    for (const handle of handles) {
      expect((await engine.getContainer(handle.id).inspect()).State.Running).toBe(true)
      await (await runtime.recover(handle))?.remove()
    }
    expect(await mountsBelow(root)).toEqual([])
    await runtime.close()
  })
})

describe.skipIf(!(await engineForTests()))('the reaper', () => {
  it('comes with the first container, is small, and goes with a host that leaves nothing', async () => {
    await using sandbox = await SandboxForTests.open({ reaper: { afterMs: 600_000 } })
    expect(await reapers(sandbox.hostInstance)).toEqual([])
    const { task } = await sandbox.start(sh('sleep 1000'))
    const [pid] = await reapers(sandbox.hostInstance)
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    expect(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(80 * 1024)
    await task.remove()
    await sandbox.runtime.close()
    await until(async () => (await reapers(sandbox.hostInstance)).length === 0, 'it has ended')
  })

  it('that was killed itself is replaced with the next container', async () => {
    await using sandbox = await SandboxForTests.open({ reaper: { afterMs: 600_000 } })
    await sandbox.run(sh('true'))
    const [first] = await reapers(sandbox.hostInstance)
    process.kill(first!, 'SIGKILL')
    await until(async () => (await reapers(sandbox.hostInstance)).length === 0, 'it is gone')
    await sandbox.run(sh('true'))
    expect(await reapers(sandbox.hostInstance)).toHaveLength(1)
  })

  it('gives up when neither its engine nor the state of its host is there', async () => {
    const order = {
      v: 1,
      target: { socketPath: join(root, 'none.sock') },
      hostInstance,
      stateDir: join(root, 'gone'),
      generation: 'g',
      afterMs: 50,
    } as const
    await reap(order)
  })

  it('is not there when the owner wants none', async () => {
    await using sandbox = await SandboxForTests.open({ reaper: false })
    await sandbox.run(sh('true'))
    expect(await reapers(sandbox.hostInstance)).toEqual([])
  })
})
