import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const BIN = fileURLToPath(new URL('../bin/manyhands.js', import.meta.url))

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'manyhands-launcher-'))
})
afterAll(() => rm(home, { recursive: true, force: true }))

const environment = () => ({ PATH: process.env['PATH'], MANYHANDS_HOME: home })

it('can be started as a program, and ends as the command ends', async () => {
  const { stdout } = await promisify(execFile)(BIN, ['--version'], { env: environment() })
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  const failing = promisify(execFile)(BIN, ['run', '--image', 'a b', '--tasks', '2-1'], {
    env: environment(),
  })
  await expect(failing).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('RANGE_INVALID'),
  })
})

it('needs no Node in the PATH when it was installed with one', async () => {
  const { stdout } = await promisify(execFile)('/bin/sh', [BIN, 'config', '--json'], {
    env: { ...environment(), PATH: '/usr/bin:/bin' },
  })
  expect(JSON.parse(stdout).node).toBe(process.versions.node)
})

it('hands on signals, and never leaves a command behind', async () => {
  const args = ['host', '--runtime', 'scripted', '--listen', '/ip4/127.0.0.1/tcp/0', '--jsonl']
  const start = async () => {
    const child = spawn(BIN, args, { env: environment(), stdio: ['ignore', 'pipe', 'ignore'] })
    const [line] = await once(createInterface(child.stdout), 'line')
    return { child, control: JSON.parse(line).control as string }
  }
  const answers = (url: string) =>
    fetch(url).then(
      () => true,
      () => false,
    )
  const killed = await start()
  expect(await answers(killed.control)).toBe(true)
  killed.child.kill('SIGKILL')
  await expect.poll(() => answers(killed.control), { timeout: 10_000 }).toBe(false)
  const ended = await start()
  ended.child.kill('SIGTERM')
  expect(await once(ended.child, 'exit')).toEqual([0, null])
  expect(await answers(ended.control)).toBe(false)
})
