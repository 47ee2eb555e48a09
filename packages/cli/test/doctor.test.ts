import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RuntimeCapabilities, RuntimeFingerprint } from '@manyhands/core'
import type { EngineReport } from '@manyhands/docker-runtime'
import { describe, expect, it } from 'vitest'
import type { Check, Examiner, Patient } from '../src/lend/doctor/check.ts'
import { clockCheck, describeClock } from '../src/lend/doctor/clock-check.ts'
import { engineChecks } from '../src/lend/doctor/engine-checks.ts'
import { isolationChecks } from '../src/lend/doctor/isolation-checks.ts'
import { describeNetwork } from '../src/lend/doctor/network-check.ts'
import { nodeCheck } from '../src/lend/doctor/node-check.ts'
import { reportText } from '../src/lend/doctor/report-text.ts'
import { runtimeChecks } from '../src/lend/doctor/runtime-checks.ts'
import { sandboxChecks } from '../src/lend/doctor/sandbox-checks.ts'
import { describeSensors } from '../src/lend/doctor/sensors-check.ts'

const engine: EngineReport = {
  where: '/run/docker.sock',
  local: true,
  kind: 'docker',
  ociRuntimes: ['runc'],
  securityOptions: ['name=apparmor', 'name=seccomp,profile=default'],
}
const patient = (
  fingerprint: Partial<RuntimeFingerprint> = {},
  more: Partial<Patient> & { capabilities?: Partial<RuntimeCapabilities>; name?: string } = {},
): Patient => ({
  context: { env: {}, cwd: '/' },
  stateDirectory: '/nowhere',
  engines: { tried: [{ where: engine.where, answers: true }], engine },
  ...more,
  runtimes: [
    {
      name: more.name ?? 'docker',
      fingerprint: { available: true, attributes: {}, ...fingerprint },
      capabilities: { isolation: 'container', ...more.capabilities } as RuntimeCapabilities,
    },
  ],
})
const examined = async (examiner: Examiner, who: Patient): Promise<Check[]> => examiner(who)

describe('isolation', () => {
  it.each([
    ['runc', 'warn', /share the kernel.*/],
    ['userns', 'ok', /kernel is shared/],
    ['rootless', 'ok', /kernel is shared/],
    ['gvisor', 'ok', /kernel of its own/],
    ['kata', 'ok', /virtual machine/],
    ['unknown', 'warn', /^unknown/],
    ['constructor', 'warn', /^unknown/],
    [undefined, 'warn', /^unknown/],
  ])('is told as it is: %s', async (isolation, state, detail) => {
    const [check] = await examined(isolationChecks, patient({ isolation }))
    expect(check).toMatchObject({ state, ok: true, detail: expect.stringMatching(detail) })
    if (state === 'warn') expect(check!.todo).toContain('--isolation runsc')
    expect(JSON.stringify(check)).not.toMatch(/\bsafe\b/i)
  })

  it('of other runtimes is their own', async () => {
    const wasm = patient({}, { name: 'wasm', capabilities: { isolation: 'wasm' } })
    expect((await examined(isolationChecks, wasm))[0]!.detail).toMatch(/^wasm: /)
  })

  it('of what cannot be used is nothing to talk about', async () => {
    expect(await examined(isolationChecks, patient({ available: false }))).toEqual([])
  })
})

describe('the engine', () => {
  const withOptions = (...securityOptions: string[]) =>
    patient({}, { engines: { tried: [], engine: { ...engine, securityOptions } } })

  it('tells where it was looked for, and versions, unknown where it does not say', async () => {
    const [tried, found] = await examined(engineChecks, patient())
    expect(tried!.detail).toBe('/run/docker.sock: answers')
    expect(found!.detail).toContain('API unknown')
  })

  it.each([
    [['name=apparmor', 'name=seccomp,profile=default'], 'ok', /apparmor; seccomp/],
    [['name=selinux', 'name=seccomp,profile=builtin'], 'ok', /selinux/],
    [['name=seccomp,profile=default'], 'warn', /neither AppArmor nor SELinux/],
    [['name=apparmor', 'name=seccomp,profile=unconfined'], 'warn', /no seccomp/],
    [['name=apparmor'], 'warn', /no seccomp/],
    [[], 'warn', /names: none/],
  ])('names its security options: %j', async (options, state, detail) => {
    const check = (await examined(engineChecks, withOptions(...options))).at(-1)
    expect(check).toMatchObject({ name: 'security options', state })
    expect(check!.detail).toMatch(detail)
  })

  it('that is not there is told by the runtime, with what to do', async () => {
    const away = patient(
      { available: false, detail: 'nobody answers' },
      { engines: { tried: [{ where: '/x', answers: false, detail: 'there is no socket: y' }] } },
    )
    expect(await examined(runtimeChecks, away)).toMatchObject(
      [{ state: 'fail', ok: false, detail: 'nobody answers', todo: /^Start Docker/ }].map(
        ({ todo, ...rest }) => ({ ...rest, todo: expect.stringMatching(todo) }),
      ),
    )
    expect(await examined(engineChecks, away)).toMatchObject([{ detail: '/x: there is no socket' }])
  })

  it('that lacks what was asked of it is not to be started, but changed', async () => {
    const [check] = await examined(runtimeChecks, patient({ available: false, detail: 'no kata' }))
    expect(check).toMatchObject({ state: 'fail', todo: expect.stringContaining('--isolation') })
  })
})

describe('sandboxes', () => {
  const details = async (who: Patient) =>
    Object.fromEntries((await examined(sandboxChecks, who)).map((check) => [check.name, check]))

  it('tell what they cannot do', async () => {
    const none = await details(patient())
    expect(none['secrets']).toMatchObject({ state: 'warn', todo: expect.any(String) })
    expect(none['network access']!.detail).toMatch(/^tasks have none/)
    expect(none['disk quota']!.detail).toMatch(/^poll: /)
    expect(none['GPUs']!.detail).toMatch(/^none/)
  })

  it('tell what they can do', async () => {
    const all = await details(
      patient(
        {
          attributes: { 'docker.disk-quota': 'loop' },
          gpus: [{ id: 'GPU-1', model: 'RTX 4090', memoryBytes: 24 * 1024 ** 3 }],
        },
        { capabilities: { secrets: true, egress: true, gpus: true } },
      ),
    )
    expect(Object.values(all).map(({ state }) => state)).toEqual(['ok', 'ok', 'ok', 'ok'])
    expect(all['GPUs']!.detail).toContain('RTX 4090 (24.0 GiB)')
    expect(all['disk quota']!.detail).toMatch(/^loop: /)
  })
})

describe('the network', () => {
  const told = (...addresses: string[]) => describeNetwork('has', addresses)

  it('tells public, local and loopback addresses apart, and what is not known', () => {
    expect(told('127.0.0.1', '::1')).toMatchObject({ state: 'warn', todo: expect.any(String) })
    const local = told('127.0.0.1', '192.168.1.7', '10.1.1.1', 'fe80::1%eth0', '100.64.0.9')
    expect(local.detail).toContain('local 192.168.1.7, 10.1.1.1, fe80::1%eth0, 100.64.0.9')
    expect(local.detail).toMatch(/unknown: behind NAT/)
    const open = told('8.8.8.8', '192.168.1.7', '2a00::1')
    expect(open.detail).toContain('public 8.8.8.8, 2a00::1; local 192.168.1.7')
    expect(open.detail).toMatch(/firewall .* unknown/)
  })
})

describe('the clock', () => {
  it('is compared with others, and may differ a little', () => {
    expect(describeClock({ engine: 1500, 'file system': -900 })).toMatchObject({ state: 'ok' })
    const late = describeClock({ engine: -60_000, 'file system': undefined })
    expect(late).toMatchObject({ state: 'warn', todo: expect.stringContaining('NTP') })
    expect(late.detail).toContain('engine -60.0 s, file system unknown')
  })

  it('leaves nothing behind on the disk that it asks', async () => {
    const stateDirectory = await mkdtemp(join(tmpdir(), 'manyhands-clock-'))
    try {
      const [check] = await examined(clockCheck, { ...patient(), stateDirectory })
      expect(check!.detail).toMatch(/file system [+-]\d/)
      expect(await readdir(stateDirectory)).toEqual([])
    } finally {
      await rm(stateDirectory, { recursive: true })
    }
  })
})

it('tells what the schedule can look at, and which rules could not be kept', async () => {
  const localTime = () => ({ minutes: 0, day: 0 })
  const blind = {
    idleMs: async () => undefined,
    onBattery: async () => undefined,
    programs: async () => undefined,
    localTime,
  }
  expect((await describeSensors(blind)).detail).toMatch(
    /--only-when-idle .*--not-on.*--pause-while/,
  )
  const seeing = {
    idleMs: async () => 61_000,
    onBattery: async () => true,
    programs: async () => new Set(['steam']),
    localTime,
  }
  expect((await describeSensors(seeing)).detail).toBe('idle for 1m 1s, on battery, 1 programs seen')
})

it('asks for a newer Node where it is too old', () => {
  expect(nodeCheck('24.1.0').state).toBe('ok')
  expect(nodeCheck('22.18.0').state).toBe('ok')
  expect(nodeCheck('22.17.9')).toMatchObject({ state: 'fail', todo: expect.any(String) })
})

it('is written for people, without what an engine may have put into its words', () => {
  const check: Check = { name: 'x', state: 'warn', ok: true, detail: 'a\x1b[2J', todo: 'b' }
  const text = reportText([check], { style: (_, plain) => plain })
  expect(text).toBe('warn  x: a·[2J\n        to do: b')
})
