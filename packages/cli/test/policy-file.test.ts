import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { hostOptions } from '../src/lend/host-options.ts'
import { readPolicyFile } from '../src/policy/policy-file.ts'
import { hostStateDirectory, stateHome } from '../src/state-home.ts'

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-policy-'))
  path = join(directory, 'policy.json')
})
afterEach(() => rm(directory, { recursive: true }))

const policy = {
  clients: ['12D3KooA'],
  images: ['blender:*', 'sha256:abc'],
  networkProfiles: ['none'],
  maxRuntime: '2h',
  maxAttempts: 4,
}
const context = () => ({ env: { MANYHANDS_HOME: '/home' }, cwd: directory })
const logger = { debug: () => {}, warn: () => {} }

it('reads a policy with comments', async () => {
  await writeFile(path, `// mine\n${JSON.stringify({ ...policy, share: { cpus: 2 } })}`)
  expect(await readPolicyFile(path)).toEqual({ policy, share: { cpus: 2 } })
})

it('understands the shape of createHost', async () => {
  await writeFile(path, JSON.stringify({ policy, labels: { room: '7' } }))
  expect(await readPolicyFile(path)).toEqual({ policy, labels: { room: '7' } })
})

it('holds every section', async () => {
  const sections = {
    share: { cpus: 2, gpus: 'all' },
    policy: { ...policy, quotas: { perClient: { attempts: 4, cpuHoursPerDay: 20, disk: '1GiB' } } },
    schedule: { hours: 'Mon-Fri 19:00-07:00', pauseWhile: ['steam'], evictAfter: '5m' },
    transfer: { upload: '5MiB/s', daily: { upload: '20GiB' } },
  }
  await writeFile(path, JSON.stringify(sections))
  expect(await readPolicyFile(path)).toEqual(sections)
  expect(await hostOptions({ policy: path }, [], context(), logger)).toMatchObject(sections)
})

it('understands the example of the guide, which has every setting', async () => {
  const example = fileURLToPath(
    new URL('../../../docs/guides/policy.example.json', import.meta.url),
  )
  const { share, policy: rules, schedule, transfer } = await readPolicyFile(example)
  expect(Object.keys(share!)).toEqual(['cpus', 'memory', 'disk', 'gpus'])
  expect(rules!.quotas!.perClient).toHaveProperty('transferPerDay')
  expect(Object.keys(schedule!)).toEqual([
    ...['hours', 'onlyWhenIdle', 'notOnBattery', 'pauseWhile', 'evictAfter'],
  ])
  expect(Object.keys(transfer!)).toEqual([
    ...['upload', 'download', 'perPeer', 'daily', 'giveToHosts'],
  ])
})

it.each([
  [{ client: [] }, /client: unknown setting/],
  [{ share: { cpu: 1 } }, /share\.cpu: unknown setting/],
  [{ share: { memory: 'much' } }, /share\.memory: .*512MiB/],
  [{ maxRuntime: '5 weeks' }, /maxRuntime: .*30s/],
  [{ networkProfiles: ['all'] }, /networkProfiles\.0/],
  [{ maxAttempts: 0 }, /maxAttempts/],
  [{ schedule: { hours: 'nights' } }, /schedule\.hours: .*"nights"/],
  [{ policy: { quotas: { perClient: { attempt: 4 } } } }, /policy\.quotas\.perClient\.attempt: /],
  // A file holds no functions.
  [{ transfer: { upload: '5MiB' } }, /transfer\.upload: .*10MiB\/s/],
  [{ policy: { admit: 'yes' } }, /policy\.admit: unknown setting/],
  [[], /policy/],
])('names the field that is wrong: %j', async (value, message) => {
  await writeFile(path, JSON.stringify(value))
  await expect(readPolicyFile(path)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    exitCode: 7,
    message: expect.stringMatching(message),
  })
})

it('lets the command line win over the file', async () => {
  await writeFile(
    path,
    JSON.stringify({
      ...policy,
      share: { cpus: 8, memory: '1GiB' },
      labels: { name: 'a', b: 'c' },
    }),
  )
  const flags = { policy: 'policy.json', cpus: 2, maxAttempts: 1, name: 'z', state: 'state' }
  expect(await hostOptions(flags, [], context(), logger)).toMatchObject({
    share: { cpus: 2, memory: '1GiB' },
    policy: { ...policy, maxAttempts: 1 },
    labels: { name: 'z', b: 'c' },
    state: join(directory, 'state'),
  })
})

it('takes the schedule and the GPUs of the command line', async () => {
  await writeFile(path, JSON.stringify({ schedule: { hours: '19:00-07:00', evictAfter: '5m' } }))
  const flags = {
    ...{ policy: 'policy.json', gpus: ['GPU-1'], hours: '20:00-06:00', onlyWhenIdle: '5m' },
    ...{ notOnBattery: true, pauseWhile: ['steam'] },
  }
  expect(await hostOptions(flags, [], context(), logger)).toMatchObject({
    share: { gpus: ['GPU-1'] },
    schedule: {
      hours: '20:00-06:00',
      evictAfter: '5m',
      onlyWhenIdle: '5m',
      notOnBattery: true,
      pauseWhile: ['steam'],
    },
  })
})

it('refuses what does not exist yet instead of ignoring it', async () => {
  await expect(hostOptions({ network: 'lab' }, [], context(), logger)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
})

it('keeps state where the user says, else where XDG says', () => {
  expect(stateHome({ MANYHANDS_HOME: '/m', XDG_STATE_HOME: '/x' })).toBe('/m')
  expect(stateHome({ XDG_STATE_HOME: '/x' })).toBe('/x/manyhands')
  expect(stateHome({ XDG_STATE_HOME: 'relative' })).toMatch(/\/\.local\/state\/manyhands$/)
  expect(stateHome({ MANYHANDS_HOME: '' })).toMatch(/\/\.local\/state\/manyhands$/)
  expect(hostStateDirectory({ MANYHANDS_HOME: '/m' }, '/cwd')).toBe('/m/host')
  expect(hostStateDirectory({}, '/cwd', 's')).toBe('/cwd/s')
})
