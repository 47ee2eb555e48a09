import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { atExit } from './at-exit.ts'

const SCRIPT = new URL('./host-crew.ts', import.meta.url).pathname

/** What a crew is asked: to add hosts, to say when each knows so many others, how it is. */
export type CrewAsks =
  | { do: 'add'; count: number; bootstrap: string[] }
  | { do: 'know'; offers: number }
  | { do: 'tell' }

export interface CrewSays {
  addresses?: string[]
  /** What the host that knows least knows. */
  known?: number
  at?: number
  cpuMs?: number
  rss?: number
  connections?: number
  /** Announcements that came by gossip. */
  heard?: number
}

/** Several hosts in one process of their own. */
export class HostCrew implements AsyncDisposable {
  readonly child: ChildProcess
  #turn: Promise<unknown> = Promise.resolve()

  constructor({ execArgv = [] }: { execArgv?: string[] } = {}) {
    this.child = fork(SCRIPT, [], {
      execArgv: [...process.execArgv, ...execArgv],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const exit = atExit(() => this.child.kill('SIGKILL'))
    this.child.once('exit', () => exit.cancel())
  }

  /** One question after the other. */
  ask(asked: CrewAsks): Promise<Required<CrewSays>> {
    const turn = this.#turn.then(async () => {
      this.child.send(asked)
      const [said] = await once(this.child, 'message')
      return said as Required<CrewSays>
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.child, 'exit')
    this.child.disconnect()
    await gone
  }
}
