import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { DEFAULT_RESOURCES, type Resources, type Workspace } from '@manyhands/core'
import type Docker from 'dockerode'
import { AttemptDirectory } from '../src/attempt-directory.ts'
import { containerTemplate } from '../src/container-template.ts'
import { installInit } from '../src/init/init-program.ts'
import { OutputDemultiplexer } from '../src/output-demultiplexer.ts'
import { openWorkspace, sandboxUser } from '../src/workspace-access.ts'
import { engine } from './engine-for-tests.ts'

const MIB = 1024 ** 2

export type Template = Docker.ContainerCreateOptions & {
  HostConfig: NonNullable<Docker.ContainerCreateOptions['HostConfig']>
}

export interface RawAsked {
  image: string
  command: string[]
  resources?: Partial<Resources>
  /** Of the image, as the runtime reads them. */
  volumes?: string[]
}

/** What is known of a container after its end, before it is removed. */
export interface RawEnd {
  stdout: string
  stderr: string
  exitCode: number
  container: Docker.Container
  workspace: Workspace
}

/**
 * Containers made of the template directly, so that a test can take one line out of it, which no
 * option of the runtime allows. Disposing it leaves nothing.
 */
export class RawContainers implements AsyncDisposable {
  readonly #host = `test-raw-${randomUUID()}`
  readonly #root: string

  private constructor(root: string) {
    this.#root = root
  }

  static async open(): Promise<RawContainers> {
    return new RawContainers(await mkdtemp(join(tmpdir(), 'manyhands-raw-')))
  }

  /** Directories with one input, `a`, that everybody could write if the mount let them. */
  async workspace(): Promise<Workspace> {
    const dir = join(this.#root, randomUUID())
    const workspace = { inDir: join(dir, 'in'), outDir: join(dir, 'out') }
    await mkdir(workspace.inDir, { recursive: true })
    await writeFile(join(workspace.inDir, 'a'), 'mine')
    await chmod(join(workspace.inDir, 'a'), 0o666)
    const init = await installInit(this.#root, process.arch === 'x64' ? 'amd64' : process.arch)
    await directoryOf(workspace).create(init, () => Promise.resolve(false))
    await openWorkspace(workspace, sandboxUser(), { mapped: false })
    return workspace
  }

  template(asked: RawAsked, workspace: Workspace): Template {
    const { uid, gid } = sandboxUser()
    const attemptId = `task-${randomUUID()}.1`
    const template = containerTemplate(
      {
        attemptId,
        labels: { host: this.#host, client: 'client', job: 'job', attempt: attemptId },
        image: asked.image,
        command: asked.command,
        env: {},
        resources: {
          ...DEFAULT_RESOURCES,
          memoryBytes: 64 * MIB,
          diskBytes: 16 * MIB,
          pids: 32,
          ...asked.resources,
        },
        gpuIds: [],
        maxRuntimeMs: 60_000,
        networkProfile: 'none',
      },
      workspace,
      {
        hostInstance: this.#host,
        image: {
          id: asked.image,
          volumes: asked.volumes ?? [],
          entrypoint: [],
          cmd: [],
          workingDir: '/',
        },
        directory: directoryOf(workspace),
        user: `${uid}:${gid}`,
        cores: '0',
      },
    )
    return structuredClone(template) as Template
  }

  /** Runs to its end. The container stays until this is disposed, unless it removes itself. */
  async run(template: Template, workspace: Workspace): Promise<RawEnd> {
    const container = await engine.createContainer({ ...template })
    const attached = await container.attach({ stream: true, stdout: true, stderr: true })
    const text = { stdout: '', stderr: '' }
    const demultiplexer = new OutputDemultiplexer((stream, bytes) => {
      text[stream] += Buffer.from(bytes).toString('latin1')
    })
    attached.on('data', (bytes: Buffer) => demultiplexer.push(bytes))
    const drained = once(attached, 'close')
    const ended = container.wait({ condition: 'next-exit' }) as Promise<{ StatusCode: number }>
    await container.start()
    const { StatusCode } = await ended
    await drained
    return { ...text, exitCode: StatusCode, container, workspace }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const label = [`manyhands.host=${this.#host}`]
    for (const { Id } of await engine.listContainers({ all: true, filters: { label } })) {
      await engine.getContainer(Id).remove({ force: true, v: true })
    }
    await rm(this.#root, { recursive: true, force: true })
  }
}

function directoryOf({ outDir }: Workspace): AttemptDirectory {
  return new AttemptDirectory(join(dirname(outDir), 'manyhands'), join(dirname(outDir), 'secrets'))
}
