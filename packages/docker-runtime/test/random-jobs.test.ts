import {
  type AttemptSpec,
  attemptSpecSchema,
  DEFAULT_RESOURCES,
  decodeDocument,
  encodeDocument,
  type JobSpec,
  ManyhandsError,
  type RuntimeSpec,
  resolveResources,
  validateJobSpec,
  type Workspace,
} from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { containerTemplate, type TemplateContext } from '../src/container-template.ts'

/** Each run sends its object in three ways, so that every way sees this many. */
const OBJECTS = 100_000

const workspace: Workspace = { inDir: '/state/a/in', outDir: '/state/a/out' }
const context: TemplateContext = {
  hostInstance: 'host-1',
  image: { id: 'sha256:abc', volumes: [], entrypoint: ['/entry'], cmd: [], workingDir: '/' },
  directory: { path: '/state/d', endFile: '/state/d/end', secretsPath: '/secrets/d' },
  user: '10001:10001',
}

/** What every loosened container would have, as an attacker would write it. */
const LOOSE = {
  Privileged: true,
  User: '0:0',
  Runtime: 'evil',
  Binds: ['/:/out:rw', '/var/run/docker.sock:/d.sock'],
  CapAdd: ['ALL'],
  CapDrop: [],
  SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
  NetworkMode: 'host',
  PidMode: 'host',
  IpcMode: 'host',
  UsernsMode: 'host',
  CgroupnsMode: 'host',
  CgroupParent: '/',
  Devices: [{ PathOnHost: '/dev/mem', PathInContainer: '/dev/mem', CgroupPermissions: 'rwm' }],
  DeviceCgroupRules: ['a *:* rwm'],
  Mounts: [{ Type: 'bind', Source: '/', Target: '/host' }],
  Sysctls: { 'kernel.shm_rmid_forced': '1' },
  MaskedPaths: [],
  ReadonlyPaths: [],
  ReadonlyRootfs: false,
  PortBindings: { '80/tcp': [{ HostPort: '80' }] },
  RestartPolicy: { Name: 'always' },
  OomKillDisable: true,
  Memory: 0,
  PidsLimit: -1,
}
const HOSTILE_KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toJSON',
  'toString',
  'valueOf',
  'length',
  'HostConfig',
  'hostConfig',
  'NetworkingConfig',
  'Labels',
  'Image',
  'Entrypoint',
  'Healthcheck',
  'Volumes',
  'WorkingDir',
  ...Object.keys(LOOSE),
  ...['manyhands.host', 'outDir', 'inDir', 'user', 'ociRuntime', 'imageId', 'hostInstance', 'a b'],
]
const HUGE = 'x'.repeat(200_000)
const HOSTILE_TEXTS = [
  ...[
    '',
    ' ',
    '\0',
    'a\0b',
    'a=b',
    '=',
    '\n',
    '../../etc',
    '/',
    '0',
    '0:0',
    'root',
    'host',
    'none',
  ],
  ...['unconfined', '\ud800', '\u202e', '{"Privileged":true}', '"],"Privileged":true,"x":["', HUGE],
  ...['/out', '/in/a', '/out/../etc', '/in/../../etc', '1TiB', '-1', '1e999', 'Infinity', 'docker'],
]
const HOSTILE_NUMBERS = [
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0, -1, 0.5, 1e308],
  ...[2 ** 31, 2 ** 53, 2 ** 63, 2 ** 64, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER],
]

/** Sets a key as JSON.parse and a decoder do: `__proto__` becomes an own key and no prototype. */
function put(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  })
}

const record = (entries: readonly (readonly [string, unknown])[]) => {
  const made = {}
  for (const [key, value] of entries) put(made, key, value)
  return made
}

const key = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...HOSTILE_KEYS) },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
)
const leaf = fc.oneof(
  fc.constantFrom<unknown>(...HOSTILE_TEXTS, null, undefined, true, false, 1n, LOOSE),
  fc.constantFrom<unknown>(...HOSTILE_NUMBERS, { HostConfig: LOOSE }, [LOOSE], [], {}),
  fc.constant<unknown>(new Uint8Array(8)),
  fc.integer({ min: 1, max: 2 ** 40 }),
  fc.double({ min: 0.01, max: 64, noNaN: true }),
  fc.string({ maxLength: 12 }),
)
const value = fc.oneof(
  { weight: 4, arbitrary: leaf },
  { weight: 1, arbitrary: fc.array(leaf, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(fc.tuple(key, leaf), { maxLength: 3 }).map(record) },
)

/** What is done to a proper object: at one of its levels, a key gets a value. */
interface Change {
  level: number
  known: number
  foreign: string
  useKnown: boolean
  value: unknown
}
const change: fc.Arbitrary<Change> = fc.record({
  level: fc.nat(20),
  known: fc.nat(40),
  foreign: key,
  useKnown: fc.boolean(),
  value,
})

function changed<Form extends object>(proper: Form, changes: Change[]): Form {
  const copy = structuredClone(proper)
  const levels = [copy, ...Object.values(copy)].filter(
    (level): level is object => typeof level === 'object' && level !== null,
  )
  for (const { level, known, foreign, useKnown, value: to } of changes) {
    const target = levels[level % levels.length]!
    const names = Object.keys(target)
    const name = useKnown && names.length > 0 ? names[known % names.length]! : foreign
    if (Array.isArray(target) && name === 'length') continue
    put(target, name, to)
  }
  return copy
}

const RESOURCES = { ...DEFAULT_RESOURCES }
const JOB: JobSpec = {
  image: 'busybox',
  command: ['/bin/true', 'a'],
  env: { A: 'b' },
  tasks: '1-3',
  outputs: ['/out/a'],
  resources: { cpus: 1, memory: '64MiB', disk: 4096, pids: 9 },
  networkProfile: 'none',
}
const WIRE: AttemptSpec = {
  runtime: 'docker',
  image: 'busybox',
  command: ['/bin/true', 'a'],
  env: { A: 'b' },
  inputs: [],
  outputs: ['/out/a'],
  resources: RESOURCES,
  timeoutMs: 1000,
  networkProfile: 'none',
}
const RUN: RuntimeSpec = {
  attemptId: 'task.1',
  labels: { host: 'host-1', client: 'c', job: 'j', attempt: 'task.1' },
  image: 'busybox',
  command: ['/bin/true', 'a'],
  env: { A: 'b' },
  resources: RESOURCES,
  gpuIds: [],
  maxRuntimeMs: 1000,
  networkProfile: 'none',
}

/** As a host turns what a peer sent into what a runtime is asked. */
const fromWire = ({ command, args, env, resources }: AttemptSpec): RuntimeSpec => ({
  ...RUN,
  command: command ?? (args === undefined ? ['/bin/true'] : undefined),
  args,
  env,
  resources,
})

const WAYS: Record<string, (changes: Change[]) => RuntimeSpec> = {
  'written by a caller': (changes) => {
    const job = validateJobSpec(changed(JOB, changes))
    const resources = resolveResources(job.resources)
    return fromWire({
      ...WIRE,
      command: job.command,
      args: job.args,
      env: job.env ?? {},
      resources,
    })
  },
  'sent by a peer': (changes) => {
    const bytes = encodeDocument(changed(WIRE, changes))
    return fromWire(decodeDocument(attemptSpecSchema, bytes, 'an offer'))
  },
  'handed to the runtime': (changes) => changed(RUN, changes),
}

/** The engine's view of a template without what a job may choose: argv, environment, sizes. */
function fixedPart(template: ReturnType<typeof containerTemplate>): string {
  const seen = JSON.parse(JSON.stringify(template))
  const { HostConfig, Labels } = seen
  for (const name of ['Cmd', 'Env', 'Labels']) delete seen[name]
  // The longest run time, a number.
  seen.Entrypoint[2] = seen.Entrypoint[2].replace(/^\d+$/, 'N')
  // Whether it was granted a way out, and ports.
  seen.Entrypoint[4] = seen.Entrypoint[4].replace(/^(e|d|ed|-)$/, 'S')
  for (const name of ['Memory', 'MemorySwap', 'CpuPeriod', 'CpuQuota', 'PidsLimit', 'ShmSize']) {
    delete HostConfig[name]
  }
  HostConfig.Tmpfs['/tmp'] = HostConfig.Tmpfs['/tmp'].replace(/size=\d+$/, 'size=N')
  for (const limit of HostConfig.Ulimits) if (limit.Name === 'fsize') limit.Soft = limit.Hard = 0
  if (HostConfig.DeviceRequests.length > 0) HostConfig.DeviceRequests = []
  return JSON.stringify({ ...seen, labels: Object.keys(Labels), host: Labels['manyhands.host'] })
}

const GOLDEN = fixedPart(containerTemplate(RUN, workspace, context))

function checkSizes({ HostConfig }: ReturnType<typeof containerTemplate>): void {
  const sizes = JSON.parse(JSON.stringify(HostConfig))
  for (const name of ['Memory', 'MemorySwap', 'CpuPeriod', 'CpuQuota', 'PidsLimit', 'ShmSize']) {
    // Written without an expect per number: this runs a million times.
    if (!Number.isSafeInteger(sizes[name]) || sizes[name] <= 0) expect(sizes).toBe(`${name} > 0`)
  }
  if (sizes.Memory !== sizes.MemorySwap) expect(sizes).toBe('memory without swap')
}

describe('100,000 random job objects', () => {
  it.for(Object.keys(WAYS))('%s never change a line of the template', (way) => {
    const untouched = Object.getOwnPropertyNames(Object.prototype).join()
    let made = 0
    const property = fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      let template: ReturnType<typeof containerTemplate>
      try {
        template = containerTemplate(WAYS[way]!(changes), workspace, context)
      } catch (error) {
        if (error instanceof ManyhandsError) return true
        throw error
      }
      made += 1
      checkSizes(template)
      return fixedPart(template) === GOLDEN
    })
    fc.assert(property, { numRuns: OBJECTS, endOnFailure: true })
    // Had nearly all been refused, the template itself would not have been tried.
    expect(made).toBeGreaterThan(OBJECTS / 50)
    expect(Object.getOwnPropertyNames(Object.prototype).join()).toBe(untouched)
    expect(({} as Record<string, unknown>)['Privileged']).toBe(undefined)
  })

  it('are compared with lines that are as strict as they are meant', () => {
    const { User, HostConfig } = JSON.parse(GOLDEN)
    expect(User).toBe('10001:10001')
    expect(HostConfig).toMatchObject({
      ReadonlyRootfs: true,
      CapAdd: [],
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Privileged: false,
      NetworkMode: 'none',
      IpcMode: 'private',
      CgroupnsMode: 'private',
      Binds: [],
      Devices: [],
      LogConfig: { Type: 'none' },
      RestartPolicy: { Name: 'no' },
    })
  })
})
