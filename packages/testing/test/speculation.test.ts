import type { RuntimeSpec } from '@manyhands/core'
import { afterEach, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork, type Script, scripted } from '../src/index.ts'

let open: LocalNetwork | undefined
afterEach(async () => {
  await open?.close()
  open = undefined
})

const host = (script: (spec: RuntimeSpec) => Script) => ({
  runtimes: [scripted({ script })],
  share: { cpus: 2, memory: '1GiB', disk: '1GiB' },
})
const spec = { runtime: 'scripted', image: 'any', command: ['run', '{{item}}'], tasks: '1-12' }
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

it('runs a late task a second time elsewhere; the first result counts and the other attempt ends', async () => {
  let hung: string | undefined
  open = await createLocalNetwork({
    hosts: [
      host(() => ({ for: '20ms', stdout: 'quick' })),
      host(({ command }) => {
        hung ??= command?.at(-1)
        return command?.at(-1) === hung ? { hang: true } : { for: '20ms' }
      }),
    ],
  })
  const { client, hosts } = open
  const job = await client.submit({ ...spec, speculate: true, retry: { attempts: 1 } })
  const results = await Array.fromAsync(job.results())
  expect(job.phase).toBe('completed')
  expect(results).toHaveLength(12)
  const late = results.find(({ key }) => key === hung)
  expect(late).toMatchObject({ ok: true, host: hosts[0]!.peerId, stdoutTail: 'quick', attempts: 2 })
  await until(() => hosts[1]!.attempts().length === 0)
  expect(job.counts).toMatchObject({ completed: 12, failed: 0, running: 0 })
})

it('does nothing twice without being told to, nor before a task is late', async () => {
  let ran = 0
  const slow = host(() => {
    ran += 1
    return { for: '150ms' }
  })
  open = await createLocalNetwork({ hosts: [slow, slow, slow] })
  await open.client.run({ ...spec, tasks: '1-6' })
  expect(ran).toBe(6)
  await open.client.run({ ...spec, tasks: '1-6', speculate: { after: 1000 } })
  expect(ran).toBe(12)
})

it('is refused with nonsense', async () => {
  open = await createLocalNetwork()
  for (const speculate of [{ after: 0 }, { after: Number.NaN }, { before: 1 }, 'yes']) {
    await expect(
      open.client.submit({ ...spec, speculate: speculate as never }),
    ).rejects.toMatchObject({ code: 'SPEC_INVALID' })
  }
})
