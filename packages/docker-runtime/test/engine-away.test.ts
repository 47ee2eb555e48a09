import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer, type Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { sh } from './busybox-programs.ts'
import { engine, engineForTests } from './engine-for-tests.ts'
import { SandboxForTests, until } from './sandbox-for-tests.ts'

/** A socket in front of the engine's that can be cut, as if the engine had gone. */
class CuttableEngine {
  readonly socketPath: string
  /** What was asked since the socket was opened; one connection may ask several times. */
  requests: string[] = []
  readonly #sockets = new Set<Socket>()
  readonly #servers: Server[] = []

  constructor(directory: string) {
    this.socketPath = join(directory, 'docker.sock')
  }

  /** Also listens on loopback TCP, as an engine on another computer would. */
  async openTcp(): Promise<string> {
    const server = await this.#listen(0)
    return `tcp://127.0.0.1:${(server.address() as { port: number }).port}`
  }

  async open(): Promise<void> {
    await this.#listen(this.socketPath)
  }

  async #listen(at: string | number): Promise<Server> {
    this.requests = []
    const server = createServer((inside) => {
      const outside = new Socket().connect('/var/run/docker.sock')
      for (const socket of [inside, outside]) {
        this.#sockets.add(socket)
        socket.on('close', () => this.#sockets.delete(socket))
        socket.on('error', () => socket.destroy())
      }
      inside.on('data', (bytes) => this.requests.push(`${bytes}`.split('\r\n')[0]!))
      inside.pipe(outside).pipe(inside)
    })
    const listening = new Promise<void>((resolve) => server.once('listening', resolve))
    if (typeof at === 'string') server.listen(at)
    else server.listen(at, '127.0.0.1')
    await listening
    this.#servers.push(server)
    return server
  }

  async cut(): Promise<void> {
    const closed = this.#servers
      .splice(0)
      .map((server) => new Promise((resolve) => server.close(resolve)))
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closed)
  }
}

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-engine-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe.skipIf(!(await engineForTests()))('an engine that goes away', () => {
  let cuttable: CuttableEngine
  beforeEach(async () => {
    cuttable = new CuttableEngine(directory)
    await cuttable.open()
  })
  afterEach(() => cuttable.cut())

  it('and comes back while the task runs changes nothing', async () => {
    await using sandbox = await SandboxForTests.open({ socketPath: cuttable.socketPath })
    const { task } = await sandbox.start(sh('while [ ! -e /out/go ]; do sleep 0.1; done'))
    await cuttable.cut()
    await expect(sandbox.start(sh('true'))).rejects.toMatchObject({ code: 'RUNTIME_UNAVAILABLE' })
    await cuttable.open()
    // Once it is seen running after the gap, an end is its own.
    await until(async () => cuttable.requests.some((line) => line.includes('/wait')), 'it waits')
    const { Mounts } = await engine.getContainer(task.handle.id).inspect()
    const out = Mounts.find((mount) => mount.Destination === '/out')?.Source
    await writeFile(join(out!, 'go'), '')
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
    await task.remove()
  })

  it('and stays away is lost after its time', async () => {
    await using sandbox = await SandboxForTests.open({
      socketPath: cuttable.socketPath,
      engineLostMs: 300,
    })
    const { task } = await sandbox.start(sh('sleep 100'))
    await cuttable.cut()
    expect(await task.wait()).toMatchObject({ exitCode: undefined, reason: 'engine-lost' })
    await cuttable.open()
    await task.remove()
    expect(await sandbox.runtime.list()).toEqual([])
  })

  it.for([
    { restarted: true, reason: 'engine-lost' },
    { restarted: false, reason: 'exited' },
  ])('under a task that ends meanwhile: restarted $restarted is $reason', async (row) => {
    await using sandbox = await SandboxForTests.open({ socketPath: cuttable.socketPath })
    const { task } = await sandbox.start(sh('sleep 0.5'))
    await cuttable.cut()
    await engine.getContainer(task.handle.id).wait()
    const pidFile = join(directory, 'docker.pid')
    await writeFile(pidFile, '1')
    if (!row.restarted) await utimes(pidFile, 0, 0)
    await cuttable.open()
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: row.reason })
    await task.remove()
  })
})

describe.skipIf(!(await engineForTests()))('an engine elsewhere', () => {
  it('is asked for usage, because its cgroups are not here', async () => {
    const cuttable = new CuttableEngine(directory)
    await using sandbox = await SandboxForTests.open({ host: await cuttable.openTcp() })
    const { task } = await sandbox.start(sh('while :; do :; done'))
    await until(async () => (await task.stats()).cpuMs > 50, 'the engine tells of work')
    const usage = await task.stats()
    expect(usage.memory).toBeGreaterThan(0)
    expect(usage.pids).toBeGreaterThan(0)
    expect(cuttable.requests.some((line) => line.includes('/stats?'))).toBe(true)
    await task.remove()
    await cuttable.cut()
  })
})

describe('an engine that does not answer', () => {
  it('is unavailable, with what to do in words, when there is no socket', async () => {
    const found = await docker({ socketPath: join(directory, 'none.sock') }).fingerprint()
    expect(found).toMatchObject({ available: false, attributes: {} })
    expect(found.detail).toMatch(/none\.sock: there is no socket: install and start/)
  })

  it('is unavailable when nothing listens', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    const found = await docker({ host: `tcp://127.0.0.1:${port}` }).fingerprint()
    expect(found.available).toBe(false)
    expect(found.detail).toMatch(/nothing listens there: start the engine/)
  })

  it('is unavailable when it hangs', async () => {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => sockets.add(socket)).listen(join(directory, 'd.sock'))
    const found = await docker({ socketPath: join(directory, 'd.sock') }).fingerprint()
    expect(found.available).toBe(false)
    expect(found.detail).toMatch(/does not answer in time/)
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })

  it('is refused as an address when it is none', () => {
    expect(() => docker({ host: 'nonsense' })).toThrow(/unix:\/\/\/path or tcp/)
  })

  it('rejects a start as unavailable and leaves it at that', async () => {
    const runtime = docker({ socketPath: join(directory, 'none.sock') })
    await runtime.open({ hostInstance: 'h', stateDir: directory })
    await expect(runtime.list()).rejects.toMatchObject({ code: 'RUNTIME_UNAVAILABLE' })
  })
})
