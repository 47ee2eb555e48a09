import { createLocalNetwork, type SimulatedHostOptions } from '@manyhands/testing'
import type { Conduct } from './simulated-host.ts'

export interface CheckedRun {
  /** Executions for each task. */
  work: number
  /** Wrong results that the caller got. */
  wrong: number
  /** Hosts that were found wrong. */
  caught: number
  /** Of this computer. */
  seconds: number
}

function optionsOf(conduct: Conduct): SimulatedHostOptions {
  switch (conduct.kind) {
    case 'honest':
      return {}
    case 'cheats':
      return { cheats: conduct.share, cheatsAfter: conduct.from ?? 0 }
    case 'colludes':
      return { cheats: conduct.share, ring: conduct.ring }
  }
}

/** One job that is verified, by a whole client among simulated hosts. */
export async function checkedRun(options: {
  bad: Conduct[]
  hosts: number
  slots: number
  tasksPerHost: number
  seed: number
}): Promise<CheckedRun> {
  const { bad, hosts, slots, tasksPerHost, seed } = options
  const begunAt = performance.now()
  const honest = Array<Conduct>(hosts - bad.length).fill({ kind: 'honest' })
  const share = { cpus: slots }
  await using network = await createLocalNetwork({
    hosts: [...bad, ...honest].map((conduct) => ({ ...optionsOf(conduct), share })),
    simulate: { seed },
  })
  const tasks = hosts * tasksPerHost
  const job = await network.client.submit<number>({
    runtime: 'scripted',
    image: 'any',
    command: ['run', '--for', '1m', '--stdout', '{{item}}'],
    tasks: `1-${tasks}`,
    resources: { cpus: 1, memory: '16MiB', disk: '16MiB' },
    verify: {},
  })
  let executions = 0
  const caught = new Set<string>()
  const following = (async () => {
    for await (const event of job.events()) {
      if (event.kind === 'attempt' && event.phase === 'offered') executions += 1
      if (event.kind === 'gap') executions = Number.NaN
      if (event.kind === 'check') for (const host of event.wrong) caught.add(host)
    }
  })()
  let wrong = 0
  for await (const { stdoutTail, item } of job.results()) if (stdoutTail !== `${item}`) wrong += 1
  await following
  return {
    work: executions / tasks,
    wrong,
    caught: caught.size,
    seconds: (performance.now() - begunAt) / 1000,
  }
}
