/** A client in a namespace, and what it hears and asks: renewals and inventories are counted. */
import { randomBytes } from 'node:crypto'
import { type Client, createClient, type Job, type JobEvent } from '@manyhands/client'
import { createNetwork, type JobSpec, type Network } from '@manyhands/core'
import { answerQuestions, tell } from './answer-questions.ts'

export interface BorrowingOptions {
  state: string
  bootstrap: string[]
  /** Hosts that it waits for before it is ready. */
  hosts: number
  heartbeat: string
}

export interface JobReport {
  phase: string
  /** Results by task: how often each came, and after how many attempts. */
  results: Record<string, { times: number; ok: boolean; attempts: number; host: string }>
  /** Attempts by their last phases. */
  attempts: Record<string, { task: string; host: string; phases: string[] }>
}

export interface HostView {
  present: boolean
  /** When it was last heard of, and asked what it holds, ms on the clock of the computer. */
  renewedAt: number
  inventoryAt: number
  inventories: number
  /** Connections that were made to it, or made anew. */
  reached: number
}

export interface Borrowing {
  submit: [
    {
      spec: JobSpec<unknown>
      /** Random bytes of this length at /in/large. */
      largeBytes?: number
    },
    { id: string },
  ]
  view: [object, Record<string, HostView>]
  /** Resolves at its end. */
  report: [{ id: string }, JobReport]
}

const options = JSON.parse(process.argv[2]!) as BorrowingOptions
const views = new Map<string, HostView>()
const viewOf = (peer: string): HostView => {
  const view = views.get(peer) ?? {
    present: false,
    renewedAt: 0,
    inventoryAt: 0,
    inventories: 0,
    reached: 0,
  }
  views.set(peer, view)
  return view
}
const now = () => performance.timeOrigin + performance.now()

function watched(network: Network): Network {
  const { call, handle } = network
  for (const type of ['peer:connect', 'peer:reconnect']) {
    network.addEventListener(type, (event) => {
      viewOf((event as CustomEvent<string>).detail).reached += 1
    })
  }
  network.call = async (peer, method, params, how) => {
    const answer = await call.call(network, peer, method, params, how)
    const view = viewOf(peer)
    if (method === 'hello' || method === 'offer.get') view.renewedAt = now()
    if (method === 'attempt.inventory') {
      view.inventoryAt = now()
      view.inventories += 1
    }
    return answer as never
  }
  network.handle = (method, handler) =>
    handle.call(network, method, async (params, context) => {
      if (method === 'lease.renew') viewOf(context.peer).renewedAt = now()
      return handler(params as never, context) as never
    })
  return network
}

const client: Client = await createClient({
  state: options.state,
  network: { bootstrap: options.bootstrap, gossip: false },
  lease: { heartbeat: options.heartbeat },
  transport: async (given) => watched(await createNetwork(given)),
})
await client.waitForHosts({ min: options.hosts, timeout: '60s' })
const jobs = new Map<string, { job: Job; report: JobReport; over: Promise<void> }>()

function follow(job: Job): void {
  const report: JobReport = { phase: '', results: {}, attempts: {} }
  const events = (async () => {
    for await (const event of job.events()) take(report, event)
  })()
  const results = (async () => {
    for await (const { key, ok, attempts, host } of job.results()) {
      const known = report.results[key]
      report.results[key] = { times: (known?.times ?? 0) + 1, ok, attempts, host: host ?? '' }
      tell({ result: key, job: job.id })
    }
  })()
  const over = Promise.all([events, results, job.wait()]).then(([, , { phase }]) => {
    report.phase = phase
  })
  over.catch((error) => tell({ failed: String(error) }))
  jobs.set(job.id, { job, report, over })
}

function take(report: JobReport, event: JobEvent): void {
  if (event.kind === 'attempt') {
    const { attempt, task, host, phase } = event
    const known = report.attempts[attempt] ?? { task, host, phases: [] }
    report.attempts[attempt] = known
    if (known.phases.at(-1) === phase) return
    known.phases.push(phase)
    tell({ attempt, task, host, phase })
  }
  if (event.kind === 'transfer') tell({ transfer: event.task })
}

await answerQuestions<Borrowing>(
  { peerId: client.peerId },
  {
    submit: async ({ spec, largeBytes }) => {
      const inputs = largeBytes && { '/in/large': new Uint8Array(randomBytes(largeBytes)) }
      const job = await client.submit({ ...spec, ...(inputs ? { inputs } : {}) })
      follow(job as Job)
      return { id: job.id }
    },
    view: async () => {
      const present = new Set(client.hosts().map(({ peerId }) => peerId))
      const all = [...new Set([...views.keys(), ...present])]
      return Object.fromEntries(
        all.map((peer) => [peer, { ...viewOf(peer), present: present.has(peer) }]),
      )
    },
    report: async ({ id }) => {
      const { report, over } = jobs.get(id)!
      await over
      return report
    },
  },
)
await client.close()
