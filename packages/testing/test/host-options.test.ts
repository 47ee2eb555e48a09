import { createHost, type HostOptions } from '@manyhands/host'
import { expect, it } from 'vitest'
import { scripted } from '../src/index.ts'

// [what is wrong, the setting that the message names]
it.each([
  [{ runtimes: [] }, 'runtimes'],
  [{ runtimes: [scripted(), scripted()] }, 'runtimes'],
  [{ share: { cpus: 0 } }, 'share.cpus'],
  [{ share: { memory: 'lots' } }, 'share.memory'],
  [{ share: { gpus: -1 } }, 'share.gpus'],
  [{ share: { cores: 4 } }, 'share.cores'],
  [{ policy: { maxRuntime: 'soon' } }, 'policy.maxRuntime'],
  [{ policy: { client: ['x'] } }, 'policy.client'],
  [{ policy: { admit: true } }, 'policy.admit'],
  [{ policy: { onUsage: 'kill' } }, 'policy.onUsage'],
  [{ policy: { quotas: { perClient: { attempts: 0 } } } }, 'policy.quotas.perClient.attempts'],
  [{ policy: { quotas: { clients: { me: { cpu: 1 } } } } }, 'policy.quotas.clients.me.cpu'],
  [{ share: { gpus: [1] } }, 'share.gpus'],
  [{ schedule: { hours: '9-5' } }, 'schedule.hours'],
  [{ schedule: { when: 'idle' } }, 'schedule.when'],
  [{ schedule: { onlyWhenIdle: 'long' } }, 'schedule.onlyWhenIdle'],
  [{ schedule: { pauseWhile: 'steam' } }, 'schedule.pauseWhile'],
  [{ sensors: { idleMs: 5 } }, 'sensors.idleMs'],
  [{ timetable: {} }, 'timetable'],
  [{ orphanTime: 'x' }, 'orphanTime'],
])('refuses %j before anything starts, naming the setting', async (options, field) => {
  const wrong = { runtimes: [scripted()], ...options } as unknown as HostOptions
  await expect(createHost(wrong)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    exitCode: 7,
    message: expect.stringContaining(field),
  })
})
