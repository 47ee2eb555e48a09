import process from 'node:process'
import { runtimeCompliance } from '@manyhands/testing/runtime-compliance'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { BUSYBOX_PROGRAMS } from './busybox-programs.ts'
import { egressForTests, LOOPBACK } from './egress-for-tests.ts'
import { engineForTests, leftovers } from './engine-for-tests.ts'
import { RecordingProxy } from './recording-proxy.ts'

/** All that the engine is ever asked. No archives, no builds, no commits, no exports, no volumes. */
const ALLOWED = [
  /^GET \/_ping$/,
  /^GET \/info$/,
  /^GET \/images\/[^/]+(\/[^/]+)*\/json$/,
  /^GET \/containers\/json$/,
  /^GET \/containers\/[\w.-]+\/(json|stats)$/,
  /^POST \/containers\/create$/,
  /^POST \/containers\/[0-9a-f]{64}\/(start|attach|wait|kill|pause|unpause|update|exec)$/,
  /^DELETE \/containers\/[0-9a-f]{64}$/,
  /^POST \/exec\/[0-9a-f]{64}\/start$/,
  /^GET \/exec\/[0-9a-f]{64}\/json$/,
]

/** What every container is created with, whatever the case asked for. */
const ALWAYS = {
  ReadonlyRootfs: true,
  CapAdd: [],
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges'],
  Privileged: false,
  NetworkMode: 'none',
  PublishAllPorts: false,
  PidMode: '',
  UTSMode: '',
  IpcMode: 'private',
  CgroupnsMode: 'private',
  OomKillDisable: false,
  Binds: [],
  Devices: [],
  DeviceRequests: [],
  LogConfig: { Type: 'none' },
  AutoRemove: false,
  RestartPolicy: { Name: 'no' },
}

const egress = await egressForTests()

describe.skipIf(!(await engineForTests()))('the engine behind a recording proxy', () => {
  let proxy: RecordingProxy
  beforeAll(async () => {
    proxy = await RecordingProxy.open()
  })
  afterAll(() => proxy[Symbol.asyncDispose]())

  runtimeCompliance(
    {
      name: 'docker() through a proxy',
      create: () => docker({ ...LOOPBACK, socketPath: proxy.socketPath }),
      programs: BUSYBOX_PROGRAMS,
      egress,
      skip: {
        'a late reader loses the middle, not the end':
          'the proxy holds output back, so that a reader after the end is not late',
      },
      leftovers,
      print: (line) => process.stderr.write(`${line}\n`),
    },
    { describe, it, expect },
  )

  // Declared last, so that it sees what all of them asked.
  it('is asked for nothing but what is on the list', () => {
    const asked = new Set(proxy.recorded.map(({ method, path }) => `${method} ${path}`))
    const strange = [...asked].filter((line) => !ALLOWED.some((allowed) => allowed.test(line)))
    expect(strange).toEqual([])
    // The suite must have used the list, or it shows little.
    const unused = ALLOWED.filter((allowed) => ![...asked].some((line) => allowed.test(line)))
    expect(unused.map(String)).toEqual([])
  })

  it('creates no container without any line of the template', () => {
    const bodies = proxy.recorded
      .filter(({ method, path }) => method === 'POST' && path === '/containers/create')
      .map(({ body }) => JSON.parse(Buffer.from(body, 'latin1').toString()))
    expect(bodies.length).toBeGreaterThan(30)
    for (const { User, HostConfig, Healthcheck } of bodies) {
      expect(User).toMatch(/^[1-9]\d*:[1-9]\d*$/)
      expect(Healthcheck).toEqual({ Test: ['NONE'] })
      expect(HostConfig).toMatchObject(ALWAYS)
      expect(HostConfig.MemorySwap).toBe(HostConfig.Memory)
      for (const mount of HostConfig.Mounts) {
        if (mount.Type !== 'bind') continue
        expect(mount.BindOptions.Propagation).toBe('rprivate')
        if (!/^\/(out|\.manyhands\/end)$/.test(mount.Target)) expect(mount.ReadOnly).toBe(true)
      }
    }
  })

  it('gains no more for a container that runs', () => {
    const updates = proxy.recorded.filter(({ path }) => path.endsWith('/update'))
    const execs = proxy.recorded.filter(({ path }) => /^\/containers\/.*\/exec$/.test(path))
    expect(updates.length * execs.length).toBeGreaterThan(0)
    for (const { body } of updates) {
      const changed = Object.keys(JSON.parse(body))
      expect(
        changed.filter(
          (key) => !/^(CpuPeriod|CpuQuota|CpusetCpus|Memory|MemorySwap|PidsLimit)$/.test(key),
        ),
      ).toEqual([])
    }
    for (const { body } of execs) expect(JSON.parse(body)).toMatchObject({ Privileged: false })
  })
})
