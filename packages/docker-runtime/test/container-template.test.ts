import { DEFAULT_RESOURCES, type RuntimeSpec, type Workspace } from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  containerName,
  containerTemplate,
  type TemplateContext,
} from '../src/container-template.ts'
import { cpuLimit } from '../src/cpu-limit.ts'

const MIB = 1024 ** 2
const workspace: Workspace = { inDir: '/state/a/in', outDir: '/state/a/out' }
const context: TemplateContext = {
  hostInstance: 'host-1',
  image: { id: 'sha256:abc', volumes: [], entrypoint: [], cmd: [], workingDir: '/work' },
  directory: { path: '/state/d', endFile: '/state/d/end', secretsPath: '/secrets/d' },
  user: '10001:10001',
}

function spec(over: Partial<RuntimeSpec> = {}): RuntimeSpec {
  return {
    attemptId: 'task.1',
    labels: { host: 'host-1', client: 'c', job: 'j', attempt: 'task.1' },
    image: 'busybox',
    command: ['/bin/true'],
    env: {},
    resources: DEFAULT_RESOURCES,
    gpuIds: [],
    maxRuntimeMs: 1000,
    networkProfile: 'none',
    ...over,
  }
}

/** What no job may ever change, whatever it says. */
const FIXED = {
  ReadonlyRootfs: true,
  CapAdd: [],
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges'],
  Privileged: false,
  NetworkMode: 'none',
  PublishAllPorts: false,
  PidMode: '',
  UTSMode: '',
  UsernsMode: '',
  IpcMode: 'private',
  CgroupnsMode: 'private',
  OomKillDisable: false,
  OomScoreAdj: 500,
  Init: false,
  Binds: [],
  Devices: [],
  LogConfig: { Type: 'none', Config: {} },
  AutoRemove: false,
  RestartPolicy: { Name: 'no' },
}

describe('the container template', () => {
  it.each([
    [[], 'void'],
    [['GPU-1', 'GPU-2'], 'GPU-1,GPU-2'],
  ])('gives no GPU through a variable beyond those granted: %j', (gpuIds, expected) => {
    const env = { NVIDIA_VISIBLE_DEVICES: 'all' }
    const { Env } = containerTemplate(spec({ gpuIds, env }), workspace, context)
    expect(Env?.filter((line) => line.startsWith('NVIDIA_VISIBLE'))).toEqual([
      `NVIDIA_VISIBLE_DEVICES=${expected}`,
    ])
  })

  it('gives the limits that the attempt was granted', () => {
    const { HostConfig } = containerTemplate(
      spec({
        resources: { cpus: 1.5, memoryBytes: 512 * MIB, diskBytes: 100 * MIB, gpus: 0, pids: 99 },
      }),
      workspace,
      context,
    )
    expect(HostConfig).toMatchObject({
      Memory: 512 * MIB,
      MemorySwap: 512 * MIB,
      CpuPeriod: 10_000,
      CpuQuota: 15_000,
      PidsLimit: 99,
      Tmpfs: { '/tmp': `rw,nosuid,nodev,noexec,mode=1777,size=${100 * MIB}` },
    })
    expect(HostConfig?.Ulimits).toContainEqual({
      Name: 'fsize',
      Soft: 100 * MIB,
      Hard: 100 * MIB,
    })
  })

  it('mounts the workspace and nothing else, inputs read-only, without propagation', () => {
    const mounts = containerTemplate(spec(), workspace, context).HostConfig?.Mounts
    const BindOptions = { Propagation: 'rprivate' }
    expect(mounts).toEqual([
      { Type: 'bind', Source: '/state/d', Target: '/.manyhands', ReadOnly: true, BindOptions },
      {
        Type: 'bind',
        Source: '/state/d/end',
        Target: '/.manyhands/end',
        ReadOnly: false,
        BindOptions,
      },
      { Type: 'bind', Source: '/state/a/out', Target: '/out', ReadOnly: false, BindOptions },
      { Type: 'bind', Source: '/state/a/in', Target: '/in', ReadOnly: true, BindOptions },
    ])
  })

  it('covers the volumes of an image, but never the places that are ours', () => {
    const volumes = ['/data', '/data/', '/out', '/in/../in', '/tmp', 'relative']
    const image = { ...context.image, volumes }
    const mounts = containerTemplate(spec(), workspace, { ...context, image }).HostConfig?.Mounts
    expect(mounts?.slice(4).map((mount) => [mount.Type, mount.Target])).toEqual([
      ['tmpfs', '/data'],
      ['tmpfs', '/relative'],
    ])
  })

  it('starts our first process, and it the command or the image’s entry point with args', () => {
    const image = { ...context.image, entrypoint: ['entry'], cmd: ['cmd'] }
    const made = (over: Partial<RuntimeSpec>) =>
      containerTemplate(spec(over), workspace, { ...context, image })
    const command = made({ command: ['a', 'b'], maxRuntimeMs: 1500.2 })
    expect(command.Entrypoint).toEqual(['/.manyhands/init', 'run', '1501', '/work', '-', '--'])
    expect(command.Cmd).toEqual(['a', 'b'])
    expect(command.WorkingDir).toBe('/')
    expect(made({ command: undefined, args: ['x'] }).Cmd).toEqual(['entry', 'x'])
    expect(made({ command: undefined, args: [] }).Cmd).toEqual(['entry', 'cmd'])
    expect(made({ command: undefined }).Cmd).toEqual(['entry', 'cmd'])
    expect(() => containerTemplate(spec({ command: undefined }), workspace, context)).toThrow(
      /neither the job nor its image/,
    )
  })

  it('refuses what no process can be given', () => {
    const make = (over: Partial<RuntimeSpec>) => () =>
      containerTemplate(spec(over), workspace, context)
    expect(make({ command: [] })).toThrow(/names no program/)
    expect(make({ command: ['a\0b'] })).toThrow(/zero byte/)
    expect(make({ env: { 'a=b': 'x' } })).toThrow(/no name of a variable/)
    expect(make({ env: { '': 'x' } })).toThrow(/no name of a variable/)
    expect(make({ env: { a: 'x\0' } })).toThrow(/no name of a variable/)
  })

  it('asks for GPUs by id only when the ledger gave some', () => {
    expect(containerTemplate(spec(), workspace, context).HostConfig?.DeviceRequests).toEqual([])
    const requests = containerTemplate(spec({ gpuIds: ['GPU-1'] }), workspace, context).HostConfig
      ?.DeviceRequests
    expect(requests).toMatchObject([{ DeviceIDs: ['GPU-1'], Capabilities: [['gpu']] }])
  })

  it('cannot be loosened by anything that a hostile spec contains', () => {
    const text = fc.oneof(fc.string(), fc.string({ minLength: 5000, maxLength: 20_000 }))
    const hostile = fc.record({
      env: fc.dictionary(fc.oneof(fc.string(), fc.constantFrom(...Object.keys(FIXED))), text),
      command: fc.array(text, { minLength: 1, maxLength: 5 }),
      labels: fc.record({ client: text, job: text, attempt: text }),
      resources: fc.record({
        cpus: fc.double({ min: -10, max: 1e6, noNaN: true }),
        memoryBytes: fc.integer({ min: -1, max: 2 ** 40 }),
        diskBytes: fc.integer({ min: -1, max: 2 ** 40 }),
        gpus: fc.integer(),
        pids: fc.integer({ min: -1, max: 2 ** 22 }),
      }),
      extra: fc.dictionary(
        fc.constantFrom('HostConfig', 'Privileged', 'Binds', 'User', 'CapAdd', 'Mounts', 'Runtime'),
        fc.anything(),
      ),
    })
    fc.assert(
      fc.property(hostile, ({ env, command, labels, resources, extra }) => {
        const asked = JSON.parse(
          JSON.stringify({ ...spec(), ...extra, command, resources, env, labels }).replace(
            '{',
            `{"__proto__":${JSON.stringify({ Privileged: true, HostConfig: { Privileged: true } })},`,
          ),
        )
        let made: ReturnType<typeof containerTemplate>
        try {
          made = containerTemplate(asked, workspace, context)
        } catch (error) {
          expect(['COMMAND_INVALID', 'SPEC_INVALID']).toContain((error as { code?: string }).code)
          return
        }
        expect(made.HostConfig).toMatchObject(FIXED)
        expect(made.User).toBe('10001:10001')
        expect(made.Image).toBe('sha256:abc')
        expect(made.Labels?.['manyhands.host']).toBe('host-1')
        expect(made.HostConfig?.Mounts).toHaveLength(4)
        expect(made.Entrypoint?.[0]).toBe('/.manyhands/init')
        expect(made.HostConfig?.Memory).toBe(made.HostConfig?.MemorySwap)
        expect(made.HostConfig?.Memory).toBeGreaterThan(0)
        expect(made.HostConfig?.PidsLimit).toBeGreaterThan(0)
        expect(made.HostConfig?.CpuQuota).toBeGreaterThan(0)
        expect(Object.keys(made).sort()).toEqual(
          Object.keys(containerTemplate(spec(), workspace, context)).sort(),
        )
        expect(Object.keys(made.HostConfig ?? {}).sort()).toEqual(
          Object.keys(containerTemplate(spec(), workspace, context).HostConfig ?? {}).sort(),
        )
      }),
    )
  })
})

describe('the container name', () => {
  it('is one that the engine takes, different for every host and attempt', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (host, a, b) => {
        expect(containerName(host, a)).toMatch(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/)
        if (a !== b) expect(containerName(host, a)).not.toBe(containerName(host, b))
        expect(containerName(`${host}x`, a)).not.toBe(containerName(host, a))
      }),
    )
  })
})

describe('cores', () => {
  it.each([
    [1, { CpuPeriod: 10_000, CpuQuota: 10_000 }],
    [2.5, { CpuPeriod: 10_000, CpuQuota: 25_000 }],
    [0.1, { CpuPeriod: 10_000, CpuQuota: 1_000 }],
    [0.05, { CpuPeriod: 20_000, CpuQuota: 1_000 }],
    [0, { CpuPeriod: 100_000, CpuQuota: 1_000 }],
  ])('%d are a quota that the kernel takes', (cpus, limit) => {
    expect(cpuLimit(cpus)).toEqual(limit)
  })
})
