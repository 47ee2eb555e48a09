import {
  ManyhandsError,
  type Runtime,
  type RuntimeCapabilities,
  type RuntimeContext,
  type RuntimeFingerprint,
  type RuntimeHandle,
  type RuntimeSpec,
  type RuntimeTask,
  type Workspace,
} from '@manyhands/core'
import type Docker from 'dockerode'
import { createContainer, discardContainer } from './container-creation.ts'
import { containerName, containerTemplate, LABELS } from './container-template.ts'
import { DockerTask } from './docker-task.ts'
import { connectEngine, type Engine, type EngineAddress } from './engine.ts'
import { engineError, engineMessage, engineStatus, unreachableReason } from './engine-error.ts'
import { resolveImage } from './image.ts'
import { type EngineInfo, engineAttributes } from './isolation.ts'
import { StartWatch } from './start-watch.ts'
import { openWorkspace, sandboxUser } from './workspace-access.ts'

const FINGERPRINT_TIMEOUT_MS = 3000
const ENGINE_LOST_MS = 120_000

export interface DockerOptions extends EngineAddress {
  /** Another OCI runtime that the engine knows, such as `'runsc'` for gVisor. */
  ociRuntime?: string
  /** How long the engine may be away before its attempts count as lost, default 120,000 ms. */
  engineLostMs?: number
}

/**
 * Runs attempts in hardened containers of a Docker engine. The engine's configuration is a closed
 * template: a job chooses image, argv, environment, sizes and inputs, and nothing else. Images are
 * those that the engine has; nothing is pulled.
 *
 * Containers survive `close()` and a restart of the host process: `list()` and `recover()` find them
 * by their labels. What must not survive is killed and removed by the host before it closes.
 *
 * @example
 * const host = await createHost({ runtimes: [docker()] })
 *
 * @throws CONFIG_INVALID for an address that is none; an engine that is away shows in `fingerprint()`
 */
export function docker(options: DockerOptions = {}): Runtime {
  return new DockerRuntime(options)
}

class DockerRuntime implements Runtime {
  readonly name = 'docker'
  readonly capabilities: RuntimeCapabilities = {
    image: 'named',
    pause: true,
    limit: true,
    exec: true,
    dial: false,
    egress: false,
    secrets: false,
    gpus: false,
    recover: true,
    isolation: 'container',
  }
  readonly #options: DockerOptions
  readonly #engine: Engine
  readonly #user = sandboxUser()
  /** Every task of this process by container id, until it is removed. */
  readonly #tasks = new Map<string, DockerTask>()
  /** Containers between their creation and their start, which are nobody's leftovers. */
  readonly #starting = new Set<string>()
  #hostInstance: string | undefined
  #closed = false

  constructor(options: DockerOptions) {
    this.#options = options
    this.#engine = connectEngine(options)
  }

  open(context: RuntimeContext): Promise<void> {
    this.#hostInstance = context.hostInstance
    return Promise.resolve()
  }

  async fingerprint(): Promise<RuntimeFingerprint> {
    try {
      const info: EngineInfo = await bounded(this.#engine.docker.info(), FINGERPRINT_TIMEOUT_MS)
      return {
        available: true,
        version: info.ServerVersion,
        attributes: engineAttributes(info, this.#options.ociRuntime),
      }
    } catch (error) {
      const why = unreachableReason(error) ?? engineMessage(error)
      const detail = `no Docker engine answers at ${this.#engine.where}: ${why}`
      return { available: false, detail, attributes: {} }
    }
  }

  async start(
    spec: RuntimeSpec,
    workspace: Workspace,
    options: { signal: AbortSignal },
  ): Promise<RuntimeTask> {
    const { signal } = options
    const hostInstance = this.#instance()
    signal.throwIfAborted()
    if (spec.networkProfile !== 'none') {
      throw new ManyhandsError('UNSUPPORTED', 'docker: the network profile egress is not offered')
    }
    const image = await resolveImage(this.#engine, spec.image)
    const template = containerTemplate(spec, workspace, {
      hostInstance,
      imageId: image.id,
      imageVolumes: image.volumes,
      user: `${this.#user.uid}:${this.#user.gid}`,
      ociRuntime: this.#options.ociRuntime,
    })
    await openWorkspace(workspace, this.#user)
    signal.throwIfAborted()
    const name = containerName(hostInstance, spec.attemptId)
    const { container, existing } = await createContainer(this.#engine, name, template, spec)
    const known = this.#tasks.get(container.id)
    if (known !== undefined) return known
    if (existing !== undefined && existing.State.Status !== 'created') {
      return this.#takeUp(container, existing)
    }
    this.#starting.add(container.id)
    try {
      return await this.#run(container, spec, workspace, signal)
    } catch (error) {
      await discardContainer(this.#engine, container)
      signal.throwIfAborted()
      throw engineError(error, `attempt ${spec.attemptId}`)
    } finally {
      this.#starting.delete(container.id)
    }
  }

  async recover(handle: RuntimeHandle): Promise<RuntimeTask | undefined> {
    const hostInstance = this.#instance()
    if (handle.runtime !== this.name || !/^[0-9a-f]{12,64}$/.test(handle.id)) return undefined
    const known = this.#tasks.get(handle.id)
    if (known !== undefined) return known
    const container = this.#engine.docker.getContainer(handle.id)
    const found = await container
      .inspect({ abortSignal: this.#engine.deadline() })
      .catch((error: unknown) => {
        if (engineStatus(error) === 404) return undefined
        throw engineError(error, `container ${handle.id.slice(0, 12)}`)
      })
    if (found === undefined || found.Config.Labels[LABELS.host] !== hostInstance) return undefined
    // It was created, but its start never came about: nothing ran, nothing is to be taken up.
    if (found.State.Status === 'created') {
      if (this.#starting.has(found.Id)) return undefined
      await discardContainer(this.#engine, container)
      return undefined
    }
    return this.#takeUp(container, found)
  }

  async list(): Promise<RuntimeHandle[]> {
    const label = `${LABELS.host}=${this.#instance()}`
    const found = await this.#engine.docker
      .listContainers({
        all: true,
        filters: { label: [label] },
        abortSignal: this.#engine.deadline(),
      })
      .catch((error: unknown) => {
        throw engineError(error, `containers of ${this.#engine.where}`)
      })
    return found.map(({ Id }) => ({ v: 1, runtime: this.name, id: Id }))
  }

  close(): Promise<void> {
    this.#closed = true
    for (const task of this.#tasks.values()) task.release()
    this.#tasks.clear()
    return Promise.resolve()
  }

  #instance(): string {
    if (this.#closed) throw new ManyhandsError('CLOSED', 'the docker runtime was closed')
    if (this.#hostInstance === undefined) {
      throw new ManyhandsError('INTERNAL', 'docker: open() has to be called first')
    }
    return this.#hostInstance
  }

  async #run(
    container: Docker.Container,
    spec: RuntimeSpec,
    workspace: Workspace,
    signal: AbortSignal,
  ): Promise<DockerTask> {
    signal.throwIfAborted()
    // Attached before the start, or the first words of a fast task are lost.
    const attached = await attach(container)
    const startWatch = new StartWatch()
    try {
      await container.start({ abortSignal: this.#engine.deadline() })
    } catch (error) {
      ;(attached as { destroy?: () => void }).destroy?.()
      // The engine tries the program itself where it brings no init.
      const bad =
        engineStatus(error) === 400 && /exec|executable|permission/.test(engineMessage(error))
      throw engineError(error, `attempt ${spec.attemptId}`, bad ? 'COMMAND_INVALID' : undefined)
    }
    const task = this.#track({
      container,
      outDir: workspace.outDir,
      diskBytes: spec.resources.diskBytes,
      maxRuntimeMs: spec.maxRuntimeMs,
      ranMs: 0,
      attached,
      startWatch,
      recovered: false,
    })
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      signal.throwIfAborted()
      await Promise.race([startWatch.check(task.wait()), aborted.promise])
      return task
    } catch (error) {
      await task.remove()
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async #takeUp(
    container: Docker.Container,
    found: Docker.ContainerInspectInfo,
  ): Promise<DockerTask> {
    const labels = found.Config.Labels
    const ranMs = Math.max(0, Date.now() - Date.parse(found.State.StartedAt))
    const attached = found.State.Running
      ? await attach(container).catch(() => undefined)
      : undefined
    return this.#track({
      container,
      outDir: found.Mounts.find((mount) => mount.Destination === '/out')?.Source ?? '',
      diskBytes: Number(labels[LABELS.diskBytes]),
      maxRuntimeMs: Math.max(0, Number(labels[LABELS.maxRuntimeMs]) - ranMs),
      ranMs,
      attached,
      startWatch: undefined,
      recovered: true,
    })
  }

  #track(
    options: Omit<
      ConstructorParameters<typeof DockerTask>[0],
      'engine' | 'engineLostMs' | 'onRemoved'
    >,
  ): DockerTask {
    const { id } = options.container
    const task = new DockerTask({
      ...options,
      engine: this.#engine,
      engineLostMs: this.#options.engineLostMs ?? ENGINE_LOST_MS,
      onRemoved: () => this.#tasks.delete(id),
    })
    this.#tasks.set(id, task)
    return task
  }
}

function attach(container: Docker.Container): Promise<NodeJS.ReadableStream> {
  return container.attach({ stream: true, stdout: true, stderr: true })
}

async function bounded<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  const timeout = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => timeout.reject(new DOMException('no answer', 'TimeoutError')),
    timeoutMs,
  )
  try {
    return await Promise.race([promise, timeout.promise])
  } finally {
    clearTimeout(timer)
  }
}
