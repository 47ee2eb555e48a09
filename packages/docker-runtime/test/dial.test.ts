import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RuntimeConnection, RuntimeTask } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { sh } from './busybox-programs.ts'
import { engineForTests } from './engine-for-tests.ts'
import { SandboxForTests, until } from './sandbox-for-tests.ts'

const MIB = 1024 ** 2
const ports = [8080, 9090]
/** Each connection gets a program of its own, which has it as stdin and stdout. */
const serve = (program: string) => sh(`nc -ll -p 8080 -e ${program}`)

async function all(connection: RuntimeConnection): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const bytes of connection.readable) parts.push(bytes)
  return Buffer.concat(parts)
}

/** The server needs a moment after the start. */
async function dial(task: RuntimeTask, port = 8080): Promise<RuntimeConnection> {
  let connection: RuntimeConnection | undefined
  await until(async () => {
    connection = await task.dial?.(port, {}).catch((error) => {
      if (!/refused/.test(error.message)) throw error
      return undefined
    })
    return connection !== undefined
  }, 'the port answers')
  return connection!
}

describe.skipIf(!(await engineForTests()))('a declared port', () => {
  it('carries bytes both ways, each ending by itself', async () => {
    await using sandbox = await SandboxForTests.open()
    expect(sandbox.runtime.capabilities.dial).toBe(true)
    const { task } = await sandbox.start(serve('sha256sum'), { ports })
    const connection = await dial(task)
    const bytes = randomBytes(3 * MIB)
    await connection.write(bytes)
    // The program answers only when it has seen the end of what we say.
    await connection.close()
    expect(String(await all(connection))).toBe(
      `${createHash('sha256').update(bytes).digest('hex')}  -\n`,
    )
    await task.remove()
  })

  it('has back-pressure in both directions and loses nothing', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(serve('cat'), {
      ports,
      resources: { memoryBytes: 256 * MIB },
    })
    const connection = await dial(task)
    // Far beyond what a kernel keeps of a connection, which may be tens of megabytes each way.
    const most = 512 * MIB
    const said = createHash('sha256')
    let written = 0
    let enough = false
    const writing = (async () => {
      while (!enough && written < most) {
        const bytes = randomBytes(65_536)
        said.update(bytes)
        await connection.write(bytes)
        written += bytes.length
      }
      await connection.close()
    })()
    // Nobody reads: what is under way fills up, and the writer waits.
    let before = -1
    await until(async () => {
      const still = written === before
      before = written
      await new Promise((resolve) => setTimeout(resolve, 200))
      return still
    }, 'the writer waits')
    enough = true
    expect(written).toBeLessThan(most)
    const heard = createHash('sha256')
    const reading = (async () => {
      for await (const bytes of connection.readable) heard.update(bytes)
    })()
    await Promise.all([reading, writing])
    expect(heard.digest('hex')).toBe(said.digest('hex'))
    await task.remove()
  })

  it('takes many connections at once', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(serve('cat'), { ports, resources: { pids: 200 } })
    await (await dial(task)).close()
    const texts = Array.from({ length: 60 }, (_, index) => `connection ${index}`)
    const answers = await Promise.all(
      texts.map(async (text) => {
        // The server's queue holds two: beyond it the kernel resets, and that must show.
        for (let tries = 0; ; tries += 1) {
          const connection = await task.dial!(8080, {})
          try {
            await connection.write(Buffer.from(text))
            await connection.close()
            return String(await all(connection))
          } catch (error) {
            if (tries === 50) throw error
          }
        }
      }),
    )
    expect(answers).toEqual(texts)
    await task.remove()
  })

  it('is reset when the container is killed, which is no proper end', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(serve('cat'), { ports })
    const connections = [await dial(task), await dial(task)]
    const reading = connections.map((connection) =>
      all(connection).then(
        () => 'ended',
        (error) => error.code,
      ),
    )
    await task.kill()
    expect(await Promise.all(reading)).toEqual(['CONNECT_FAILED', 'CONNECT_FAILED'])
    await expect(connections[0]!.write(Buffer.from('x'))).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
    })
    await task.remove()
  })

  it('is reset as well when the container ends under a server that it has left behind', async () => {
    await using sandbox = await SandboxForTests.open()
    const script = 'nc -ll -p 8080 -e cat & until [ -e /out/go ]; do sleep 0.05; done'
    const { task, workspace } = await sandbox.start(sh(script), { ports })
    const connection = await dial(task)
    const reading = all(connection).then(
      () => 'ended',
      (error) => error.code,
    )
    await writeFile(join(workspace.outDir, 'go'), '')
    expect(await reading).toBe('CONNECT_FAILED')
    expect(await task.wait()).toMatchObject({ exitCode: 0 })
    await task.remove()
  })

  it('that was not declared, or has no server, is not reached', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(serve('cat'), { ports })
    await expect(task.dial!(8081, {})).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(task.dial!(9090, {})).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringMatching(/refused/),
    })
    const reason = new Error('changed my mind')
    await expect(task.dial!(8080, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await task.remove()
    const plain = await sandbox.start(sh('sleep 100'))
    await expect(plain.task.dial!(8080, {})).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await plain.task.remove()
    await expect(sandbox.start(sh('true'), { ports: [0] })).rejects.toMatchObject({
      code: 'SPEC_INVALID',
    })
  })

  it('is reached again after a restart of the host’s process', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(serve('cat'), { ports })
    await dial(task)
    await sandbox.reopen()
    const again = (await sandbox.runtime.recover(task.handle))!
    const connection = await dial(again)
    await connection.write(Buffer.from('after'))
    await connection.close()
    expect(String(await all(connection))).toBe('after')
    await again.remove()
  })

  it('ends with a program that has said its last words', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('echo the last words | nc -l -p 8080'), {
      ports,
    })
    const connection = await dial(task)
    await connection.close()
    expect(String(await all(connection))).toBe('the last words\n')
    expect((await task.wait()).exitCode).toBe(0)
    await task.remove()
  })
})
