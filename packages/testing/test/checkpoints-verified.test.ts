import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobEvent } from '@manyhands/client'
import type { JobSpec, Runtime, RuntimeExit } from '@manyhands/core'
import { wasm } from '@manyhands/wasm-runtime'
import { expect, it, onTestFinished } from 'vitest'
import { testProgram } from '../../wasm-runtime/test/programs.ts'
import { createLocalNetwork, type Script, scripted } from '../src/index.ts'

const SEGMENTS = 5
const SHARE = { share: { cpus: 2 } }
const RIGHT = 'x'.repeat(SEGMENTS)

/** A runtime whose host puts something else in the place of what tasks wrote, before anybody takes it. */
function poisoning(): Runtime {
  const runtime = wasm()
  const start = runtime.start.bind(runtime)
  runtime.start = async (spec, workspace, options) => {
    const task = await start(spec, workspace, options)
    const wait = task.wait.bind(task)
    let ended: Promise<RuntimeExit> | undefined
    task.wait = () => {
      ended ??= wait().then(async (exit) => {
        const file = join(workspace.outDir, 'state/step')
        const written = await readFile(file, 'utf8').catch(() => '')
        await writeFile(file, written.replace(/^x/, 'y'))
        return exit
      })
      return ended
    }
    return task
  }
  return runtime
}

async function setup(cheats: number, honest: number) {
  const image = await testProgram()
  const network = await createLocalNetwork({
    // Who seems to be gone for a moment on a busy computer would not be waited for.
    client: { lease: { heartbeat: '5s' } },
    hosts: [
      ...Array.from({ length: cheats }, () => ({ runtimes: [poisoning()], ...SHARE })),
      ...Array.from({ length: honest }, () => ({ runtimes: [wasm()], ...SHARE })),
    ],
  })
  onTestFinished(() => network.close())
  const spec: JobSpec = {
    runtime: 'wasm',
    image,
    command: ['program', 'segments', `${SEGMENTS}`],
    retry: { attempts: 1 },
    checkpoint: { paths: ['/out/state/**'], every: '1h', continueCode: 75 },
    // All of them are at one address.
    verify: { apart: 'hosts' },
    accept: 'quorum',
    // Whoever cheats is asked first.
    hosts: { rank: ({ peerId }) => (peerId === network.hosts[0]!.peerId ? 1 : 0) },
    tasks: '1-4',
  }
  return { ...network, spec }
}

/** Follows a job to its end: what came of it, and that no host began with what another one had made. */
async function ended(
  client: Awaited<ReturnType<typeof setup>>['client'],
  spec: JobSpec,
  seen: (event: JobEvent) => void = () => {},
) {
  const job = await client.submit(spec)
  const wrong = new Set<string>()
  const hostOf = new Map<string, string>()
  const followed = (async () => {
    let begun = 0
    for await (const event of job.events()) {
      seen(event)
      if (event.kind === 'check') for (const host of event.wrong) wrong.add(host)
      if (event.kind !== 'attempt') continue
      hostOf.set(event.attempt, event.host)
      if (event.startedFrom === undefined) continue
      begun += 1
      expect(hostOf.get(event.startedFrom.attempt)).toBe(event.host)
    }
    return begun
  })()
  const results = await Array.fromAsync(job.results())
  const steps = results.map(async ({ outputs }) =>
    Buffer.from(await outputs.read('state/step')).toString(),
  )
  return { results, steps: await Promise.all(steps), wrong, begun: await followed }
}

it('a checked task and its checks each go on from what their own host has made', async () => {
  const { client, spec } = await setup(0, 4)
  const { results, steps, wrong, begun } = await ended(client, {
    ...{ ...spec, tasks: '1-3', hosts: {} },
    // A check that is late would begin anew elsewhere as well.
    speculate: { after: 1000 },
    verify: { apart: 'hosts', replicas: 3 },
  })
  expect(steps).toEqual([RIGHT, RIGHT, RIGHT])
  expect(results.every(({ agreedBy }) => agreedBy?.length === 3)).toBe(true)
  expect(wrong.size).toBe(0)
  // None of them began anew on the way, though there was always somebody else who could take it.
  expect(begun).toBe(3 * 3 * (SEGMENTS - 1))
})

it('a host that poisons checkpoints is found wrong, and nobody else is', async () => {
  const { client, hosts, spec } = await setup(1, 3)
  const { steps, wrong } = await ended(client, spec)
  expect(steps).toEqual([RIGHT, RIGHT, RIGHT, RIGHT])
  expect([...wrong]).toEqual([hosts[0]!.peerId])
})

it('a host that leaves a poisoned checkpoint behind makes no result wrong', async () => {
  const { client, hosts, spec } = await setup(1, 2)
  const [cheat] = hosts
  let drained: Promise<unknown> | undefined
  const { steps, wrong } = await ended(client, { ...spec, tasks: '1-2' }, (event) => {
    if (event.kind === 'checkpoint' && event.host === cheat!.peerId) {
      drained ??= cheat!.drain({ deadline: '1ms' })
    }
  })
  expect(drained).toBeDefined()
  await drained
  expect(steps).toEqual([RIGHT, RIGHT])
  for (const { peerId } of hosts.slice(1)) expect(wrong).not.toContain(peerId)
})

/**
 * `a` writes a word, the wrong one at a host that cheats; `b` writes down what it was given, asks to be continued, and
 * is done then. Whoever is asked for `a` after the one that cheats waits until `b` goes on; and `b`, if it was given the
 * wrong word, is not done before that has come out.
 */
function twoSteps(cheats: boolean, goesOn: PromiseWithResolvers<void>): Runtime {
  const scripts = new Map<string, Script>()
  const runtime = scripted({ script: ({ attemptId }) => scripts.get(attemptId) ?? {} })
  const start = runtime.start.bind(runtime)
  let held = false
  const scriptOf = async (what: string | undefined, outDir: string): Promise<Script> => {
    if (what === 'a') {
      if (!cheats) await goesOn.promise
      return { write: { 'state/step': cheats ? 'wrong' : 'right' } }
    }
    const from = await readFile(join(outDir, 'state/step'), 'utf8').catch(() => undefined)
    if (from === undefined) return { copy: { 'a.txt': 'state/step' }, exit: 75 }
    goesOn.resolve()
    if (from !== 'wrong' || held) return {}
    held = true
    return { for: '10m' }
  }
  runtime.start = async (spec, workspace, options) => {
    scripts.set(spec.attemptId, await scriptOf(spec.command?.[1], workspace.outDir))
    return await start(spec, workspace, options)
  }
  return runtime
}

it('a task that was given something wrong begins anew, and not where it was left', async () => {
  const goesOn = Promise.withResolvers<void>()
  const { client, hosts, close } = await createLocalNetwork({
    client: { lease: { heartbeat: '5s' } },
    hosts: [true, false, false, false].map((cheats) => ({
      runtimes: [twoSteps(cheats, goesOn)],
      share: { cpus: 4 },
    })),
  })
  onTestFinished(() => close())
  const [cheat, next] = hosts
  let first = cheat
  const { steps, wrong } = await ended(
    client,
    {
      ...{ runtime: 'scripted', image: 'any', tasks: ['a', 'b'] },
      task: (key: unknown) => ({
        ...{ key: key as string, command: ['play', key as string] },
        ...(key === 'b' ? { inputs: { '/in/a.txt': { task: 'a', path: '/out/state/step' } } } : {}),
      }),
      checkpoint: { paths: ['/out/state/**'], every: '1h', continueCode: 75 },
      verify: { apart: 'hosts' },
      accept: 'quorum',
      fetchOutputs: true,
      hosts: { rank: ({ peerId }) => (peerId === first!.peerId ? 1 : 0) },
    },
    (event) => {
      if (event.kind === 'task' && event.task === 'a' && event.phase === 'completed') first = next
    },
  )
  expect(steps).toEqual(['right', 'right'])
  expect([...wrong]).toEqual([cheat!.peerId])
})
