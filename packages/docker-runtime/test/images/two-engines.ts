import { type Client, type ClientOptions, createClient, type JobSummary } from '@manyhands/client'
import type { ImageSource, JobSpec, SourceImage, TaskResult } from '@manyhands/core'
import { docker, dockerImages } from '@manyhands/docker-runtime'
import { createHost, type Host, type HostOptions } from '@manyhands/host'
import { BUSYBOX_IMAGE, buildImage } from '../../../../scripts/docker-images.ts'
import { OwnDocker, type OwnEngine } from '../own-engines.ts'
import { until } from '../sandbox-for-tests.ts'

/** A task that says what is in the file that the image has. */
export const JOB = {
  command: ['/bin/sh', '-c', 'cat /what'],
  tasks: ['one'],
  resources: { cpus: 0.5, memory: '64MiB', disk: '16MiB', pids: 32 },
  retry: { attempts: 0 },
  timeout: '30s',
  hosts: { wait: '2s' },
} satisfies Partial<JobSpec<string>>

export interface Outcome extends JobSummary {
  results: TaskResult[]
  /** What each task said, or why it failed. */
  said: string[]
}

export interface EngineMaker {
  client?: () => Promise<OwnEngine>
  host?: () => Promise<OwnEngine>
}

/** An engine for clients and another one for hosts, of which neither knows the other's images. */
export class TwoEngines implements AsyncDisposable {
  readonly client: OwnEngine
  readonly host: OwnEngine
  #open = new AsyncDisposableStack()

  private constructor(client: OwnEngine, host: OwnEngine) {
    this.client = client
    this.host = host
  }

  static async start(make: EngineMaker = {}): Promise<TwoEngines> {
    const [client, host] = await Promise.all([
      (make.client ?? OwnDocker.start)(),
      (make.host ?? OwnDocker.start)(),
    ])
    const engines = new TwoEngines(client, host)
    await engines.clear()
    return engines
  }

  /** Closes hosts and clients, and empties the hosts' engine. */
  async clear(): Promise<void> {
    await this.#open.disposeAsync()
    this.#open = new AsyncDisposableStack()
    await this.emptyHost()
  }

  /** Removes all containers and images of the hosts' engine; some may be being removed already. */
  async emptyHost(): Promise<void> {
    const { docker } = this.host
    const gone = (error: { statusCode?: number }) => {
      if (error.statusCode !== 404 && error.statusCode !== 409) throw error
    }
    await until(async () => {
      const containers = await docker.listContainers({ all: true })
      for (const { Id } of containers) {
        await docker.getContainer(Id).remove({ force: true }).catch(gone)
      }
      const images = await docker.listImages()
      for (const { Id } of images) await docker.getImage(Id).remove({ force: true }).catch(gone)
      return containers.length + images.length === 0
    }, 'the hosts’ engine is empty')
  }

  defer(work: () => Promise<unknown>): void {
    this.#open.defer(async () => void (await work()))
  }

  async openHost(over: Partial<HostOptions> = {}): Promise<Host> {
    return this.#open.use(
      await createHost({
        runtimes: [docker({ socketPath: this.host.socketPath, reaper: false })],
        share: { cpus: 2, memory: '1GiB', disk: '2GiB' },
        network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
        ...over,
      }),
    )
  }

  async openClient(host: Host, over: Partial<ClientOptions> = {}): Promise<Client> {
    const client = await createClient({
      images: [this.source()],
      network: { bootstrap: host.addresses, gossip: false },
      lease: { heartbeat: '200ms' },
      ...over,
    })
    this.#open.use(client)
    await client.waitForHosts()
    return client
  }

  source(): ImageSource {
    return dockerImages({ socketPath: this.client.socketPath })
  }

  /** The client's engine, where something else happens in one place. */
  sourceWith(change: (image: SourceImage) => Partial<SourceImage>): ImageSource {
    const inner = this.source()
    return {
      runtime: 'docker',
      async resolve(reference, options) {
        const found = await inner.resolve(reference, options)
        if (found === undefined) return undefined
        const { key, id, diffIds, bytes } = found
        const own: SourceImage = { key, id, diffIds, bytes, export: (...of) => found.export(...of) }
        return { ...own, ...change(found) }
      },
    }
  }

  /** Counts what the client's engine is asked to export. */
  counted(): { source: ImageSource; exported: number[] } {
    const exported: number[] = []
    const source = this.sourceWith((image) => ({
      export: (wanted, ...more) => {
        exported.push(wanted.size)
        return image.export(wanted, ...more)
      },
    }))
    return { source, exported }
  }

  /** Makes an image that has `what` in a file. */
  image(name: string, what: string, from = BUSYBOX_IMAGE): Promise<string> {
    const lines = [`FROM ${from}`, `RUN echo ${what} > /what`]
    return buildImage(this.client.docker, `my/${name}`, lines)
  }

  /** Makes an image with so many bytes that cannot be made smaller. */
  base(name: string, bytes = 3_000_000): Promise<string> {
    const lines = [`FROM ${BUSYBOX_IMAGE}`, `RUN head -c ${bytes} /dev/urandom > /random`]
    return buildImage(this.client.docker, `my/${name}`, lines)
  }

  /** Names of images in the hosts' engine. */
  async tags(): Promise<string[]> {
    const images = await this.host.docker.listImages()
    return images.flatMap(({ RepoTags }) => RepoTags ?? []).toSorted()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync()
    await this.client[Symbol.asyncDispose]()
    await this.host[Symbol.asyncDispose]()
  }
}

export async function run(
  client: Client,
  image: string,
  over: Partial<JobSpec<string>> = {},
): Promise<Outcome> {
  const job = await client.submit<string>({ ...JOB, image, ...over })
  const results: TaskResult[] = await Array.fromAsync(job.results())
  const said = results.map(({ ok, stdoutTail, error }) =>
    ok ? stdoutTail.trim() : `${error?.code}: ${error?.message}`,
  )
  return { ...(await job.wait()), results, said }
}
