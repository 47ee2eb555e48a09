import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { examineEngines } from '../src/index.ts'

let directory: string
let server: Server
let info: object
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-examination-'))
  info = {}
  server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(request.url?.endsWith('/version') ? { ApiVersion: '1.41' } : info))
  })
  await new Promise<void>((resolve) => server.listen(join(directory, 'engine.sock'), resolve))
})
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve))
  await rm(directory, { recursive: true })
})

it('tells what the engine says of itself, and nothing that it does not say', async () => {
  const socketPath = join(directory, 'engine.sock')
  info = {
    ServerVersion: '20.10.24',
    KernelVersion: '6.1',
    CgroupVersion: '2',
    Runtimes: { runsc: {}, runc: {} },
    SecurityOptions: ['name=seccomp,profile=default'],
    SystemTime: new Date(Date.now() + 3_600_000).toISOString(),
  }
  const { tried, engine } = await examineEngines({ socketPath })
  expect(tried).toEqual([{ where: socketPath, answers: true }])
  expect(engine).toMatchObject({
    kind: 'docker',
    local: true,
    version: '20.10.24',
    apiVersion: '1.41',
    kernel: '6.1',
    cgroup: '2',
    ociRuntimes: ['runc', 'runsc'],
    securityOptions: ['name=seccomp,profile=default'],
  })
  expect(engine!.clockAheadMs).toBeGreaterThan(3_000_000)
  info = {}
  const silent = (await examineEngines({ socketPath })).engine!
  expect(silent).toMatchObject({ ociRuntimes: [], securityOptions: [] })
  expect(silent.clockAheadMs).toBeUndefined()
  expect(silent.storage).toBeUndefined()
})

it('says why the engine that was named does not answer, and looks nowhere else', async () => {
  const socketPath = join(directory, 'nobody.sock')
  expect(await examineEngines({ socketPath })).toEqual({
    tried: [{ where: socketPath, answers: false, detail: expect.stringMatching(/no socket/) }],
  })
})
