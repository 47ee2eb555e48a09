/** A host in a namespace: tells of every run, and says what it holds. */
import { createHost, type HostAttempt, type HostOptions } from '@manyhands/host'
import { scripted } from '../../src/index.ts'
import { answerQuestions, tell } from './answer-questions.ts'

export interface LendingOptions {
  address: string
  state?: string
  cpus?: number
  bootstrap?: string[]
  gossip?: boolean
  orphanTime?: string
}

export interface Lending {
  attempts: [object, Pick<HostAttempt, 'id' | 'task' | 'phase'>[]]
}

const options = JSON.parse(process.argv[2]!) as LendingOptions
const hostOptions: HostOptions = {
  runtimes: [scripted()],
  share: { cpus: options.cpus ?? 2, memory: '8GiB', disk: '8GiB' },
  network: {
    listen: [`/ip4/${options.address}/tcp/4001`],
    gossip: options.gossip ?? false,
    bootstrap: options.bootstrap ?? [],
  },
}
if (options.state !== undefined) hostOptions.state = options.state
if (options.orphanTime !== undefined) hostOptions.orphanTime = options.orphanTime
const host = await createHost(hostOptions)
const ran = new Set<string>()
host.addEventListener('attempt', (event) => {
  const { id, task, phase } = (event as CustomEvent<HostAttempt>).detail
  if (phase === 'running' && !ran.has(id)) tell({ ran: task, id })
  if (phase === 'running') ran.add(id)
})
await answerQuestions<Lending>(
  { peerId: host.peerId, address: `/ip4/${options.address}/tcp/4001/p2p/${host.peerId}` },
  {
    attempts: async () => host.attempts().map(({ id, task, phase }) => ({ id, task, phase })),
  },
)
await host.close()
