import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Client, createClient } from '@manyhands/client'
import type { JobSpec, TaskResult } from '@manyhands/core'
import { BUSYBOX_IMAGE } from '../../../scripts/docker-images.ts'
import { engine } from './engine-for-tests.ts'
import { until } from './sandbox-for-tests.ts'

const HOST = fileURLToPath(new URL('./host-process.ts', import.meta.url))

/** A client here and one host with real containers in a process of its own; disposing it leaves nothing. */
export class DockerNetwork implements AsyncDisposable {
  readonly #state: string
  readonly #host: ChildProcess
  readonly #instance: string
  readonly #client: Client

  private constructor(state: string, host: ChildProcess, instance: string, client: Client) {
    this.#state = state
    this.#host = host
    this.#instance = instance
    this.#client = client
  }

  static async open(): Promise<DockerNetwork> {
    const state = await mkdtemp(join(tmpdir(), 'manyhands-attacked-'))
    const host = fork(HOST, [state], { execArgv: ['--conditions=@manyhands/source'] })
    const [ready] = await Promise.race([
      once(host, 'message'),
      once(host, 'exit').then(() => Promise.reject(new Error('the host process ended'))),
    ])
    const { addresses, instance } = ready as { addresses: string[]; instance: string }
    const client = await createClient({
      lease: { heartbeat: '200ms' },
      network: { bootstrap: addresses, gossip: false },
    })
    await client.waitForHosts({ min: 1 })
    return new DockerNetwork(state, host, instance, client)
  }

  /** Runs each task once, whatever becomes of it; its script gets the key as `$1`. */
  async run(
    scripts: Record<string, string>,
    over: Partial<JobSpec<string>> = {},
  ): Promise<Map<string, TaskResult>> {
    const job = await this.#client.submit<string>({
      runtime: 'docker',
      image: BUSYBOX_IMAGE,
      tasks: Object.keys(scripts),
      task: (key) => ({ key, command: ['/bin/sh', '-c', scripts[key]!, 'sh', key] }),
      resources: { cpus: 0.5, memory: '64MiB', disk: '16MiB', pids: 32 },
      retry: { attempts: 0 },
      timeout: '40s',
      ...over,
    })
    const results = await Array.fromAsync(job.results())
    return new Map(results.map((result) => [result.key, result]))
  }

  /** The most memory that the host's process has had since the last question, bytes. */
  async hostMemory(): Promise<number> {
    const answer = once(this.#host, 'message')
    this.#host.send('most')
    const [{ most }] = (await answer) as [{ most: number }]
    return most
  }

  /** What an end must leave: no container and no workspace of any attempt. */
  async settled(): Promise<void> {
    const label = [`manyhands.host=${this.#instance}`]
    await until(
      async () => (await engine.listContainers({ all: true, filters: { label } })).length === 0,
      'no container is left',
    )
    const workspaces = () => readdir(join(this.#state, 'attempts'))
    await until(async () => (await workspaces()).length === 0, 'no workspace is left')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close()
    if (this.#host.exitCode === null) {
      const gone = once(this.#host, 'exit')
      this.#host.send('close')
      await gone
    }
    await rm(this.#state, { recursive: true, force: true })
  }
}
