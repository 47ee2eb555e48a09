import { mkdir } from 'node:fs/promises'
import {
  assertSupported,
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
import { AttemptDirectories, type AttemptDirectory } from './attempt-directory.ts'
import { AttemptSockets, type ConnectionGrant, connectionGrant } from './attempt-sockets.ts'
import { containerExists, createContainer, discardContainer } from './container-creation.ts'
import {
  containerName,
  containerTemplate,
  gpuIdsOf,
  hasSecrets,
  isAttemptOf,
  LABELS,
} from './container-template.ts'
import { DiskQuota } from './disk/disk-quota.ts'
import type { DockerOptions } from './docker-options.ts'
import { DockerTask } from './docker-task.ts'
import { AddressPolicy } from './egress/address-policy.ts'
import type { Engine } from './engine.ts'
import { engineError, engineStatus } from './engine-error.ts'
import { type EngineInfo, engineKind, mapsUsers } from './engine-info.ts'
import { EngineProfile } from './engine-profile.ts'
import { resolveImage } from './image.ts'
import { installInit } from './init/init-program.ts'
import { takeOver } from './reaper/generation.ts'
import { Reaper } from './reaper/reaper.ts'
import { confirmStart } from './start-record.ts'
import { openWorkspace, sandboxUser } from './workspace-access.ts'

const ENGINE_LOST_MS = 120_000
const ORPHANED_MS = 600_000
/** gVisor's kernel is a process in the container's control group; without threads it dies, with code 2. */
const GVISOR_THREADS = 128
/** Podman otherwise asks for 2^20, which a service that is not wholly privileged may not grant. */
const PODMAN_USER_PROCESSES = 16_384

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
  readonly #options: DockerOptions
  readonly #profile: EngineProfile
  readonly #user = sandboxUser()
  /** Every task of this process by container id, until it is removed. */
  readonly #tasks = new Map<string, DockerTask>()
  /** Containers between their creation and their start, which are nobody's leftovers. */
  readonly #starting = new Set<string>()
  /** Names of containers whose start is under way. */
  readonly #beingStarted = new Set<string>()
  #quota: DiskQuota | undefined
  #reaper: Reaper | undefined
  /** Tells the processes of one host instance apart. */
  #generation = ''
  #hostInstance: string | undefined
  #stateDir = ''
  #directories = new AttemptDirectories('', '')
  readonly #addresses: AddressPolicy
  #initProgram: Promise<string> | undefined
  #closed = false

  constructor(options: DockerOptions) {
    this.#options = options
    this.#profile = new EngineProfile(options)
    this.#addresses = new AddressPolicy(options.egress?.allowNetworks)
  }

  get capabilities(): RuntimeCapabilities {
    return this.#profile.capabilities
  }

  async open(context: RuntimeContext): Promise<void> {
    this.#hostInstance = context.hostInstance
    this.#stateDir = context.stateDir
    this.#directories = new AttemptDirectories(context.stateDir, context.hostInstance)
    await this.#directories.open()
    // First of all: from here on no reaper of an earlier process touches what is ours.
    this.#generation = await takeOver(context.stateDir)
    this.#quota = new DiskQuota(this.#options.diskQuota ?? 'auto', context.stateDir)
    // What the engine can do is known from here on, unless it is away.
    await this.#profile.open()
    if (await this.#quota.hasAny()) await this.list().catch(() => {})
  }

  fingerprint(): Promise<RuntimeFingerprint> {
    return this.#profile.fingerprint(this.#quota)
  }

  async start(
    spec: RuntimeSpec,
    workspace: Workspace,
    options: { signal: AbortSignal },
  ): Promise<RuntimeTask> {
    const name = containerName(this.#instance(), spec.attemptId)
    // Side by side, each would take the other's half-made container for a leftover.
    if (this.#beingStarted.has(name)) {
      throw new ManyhandsError(
        'RUNTIME_FAILED',
        `attempt ${spec.attemptId} is being started already`,
      )
    }
    this.#beingStarted.add(name)
    try {
      return await this.#start(spec, workspace, options)
    } finally {
      this.#beingStarted.delete(name)
    }
  }

  async #start(
    spec: RuntimeSpec,
    workspace: Workspace,
    options: { signal: AbortSignal },
  ): Promise<RuntimeTask> {
    const { signal } = options
    const hostInstance = this.#instance()
    signal.throwIfAborted()
    const engine = await this.#profile.find()
    const info = await this.#profile.info(engine)
    assertSupported(spec, this.capabilities, this.name)
    const { ociRuntime, level } = this.#profile.isolation(info)
    const grant = connectionGrant(spec)
    const name = containerName(hostInstance, spec.attemptId)
    const directory = this.#directories.of(name)!
    const quota = this.#quota!
    const image = await resolveImage(engine, spec.image)
    const initProgram = await this.#init(info)
    const template = containerTemplate(spec, workspace, {
      hostInstance,
      image,
      directory,
      user: `${this.#user.uid}:${this.#user.gid}`,
      ociRuntime,
      gpuDriver: this.#profile.gpuDriver(),
      runtimeThreads: level === 'gvisor' ? GVISOR_THREADS : 0,
      userProcesses: engineKind(info) === 'podman' ? PODMAN_USER_PROCESSES : undefined,
    })
    const isVolume = (await quota.kind(engine)) === 'loop'
    signal.throwIfAborted()
    this.#ensureReaper(engine)
    const fresh = await directory.create(initProgram, () => containerExists(engine, name))
    if (fresh && hasSecrets(spec)) {
      await directory.writeSecrets(spec.secrets ?? {}, this.#user).catch(async (error: unknown) => {
        await directory.remove()
        throw error
      })
    }
    await mkdir(workspace.outDir, { recursive: true })
    // Side by side: the engine looks at what is mounted only when it starts the container.
    const [room, created] = await Promise.allSettled([
      this.#makeRoom(name, spec, workspace, { isVolume, mapped: mapsUsers(info) }),
      createContainer(engine, name, template, spec),
    ])
    if (created.status === 'rejected') {
      if (fresh) await directory.remove()
      if (room.status === 'fulfilled' && room.value) await quota.discard(name)
      throw created.reason
    }
    const { container, existing } = created.value
    const known = this.#tasks.get(container.id)
    if (known !== undefined) return known
    if (existing !== undefined && existing.State.Status !== 'created') {
      return this.#takeUp(engine, container, existing)
    }
    this.#starting.add(container.id)
    try {
      if (room.status === 'rejected') throw room.reason
      return await this.#run(
        engine,
        container,
        spec,
        workspace,
        { name, directory, isVolume, grant },
        signal,
      )
    } catch (error) {
      await discardContainer(engine, container)
      await Promise.all([directory.remove(), quota.discard(name)])
      signal.throwIfAborted()
      throw engineError(error, `attempt ${spec.attemptId}`)
    } finally {
      this.#starting.delete(container.id)
    }
  }

  /** The directory that the task writes to; true when it got a new volume. */
  async #makeRoom(
    name: string,
    spec: RuntimeSpec,
    workspace: Workspace,
    { isVolume, mapped }: { isVolume: boolean; mapped: boolean },
  ): Promise<boolean> {
    const { diskBytes } = spec.resources
    const isNew = isVolume && (await this.#quota!.prepare(name, workspace.outDir, diskBytes))
    await openWorkspace(workspace, this.#user, { mapped })
    return isNew
  }

  async recover(handle: RuntimeHandle): Promise<RuntimeTask | undefined> {
    const hostInstance = this.#instance()
    if (handle.runtime !== this.name || !/^[0-9a-f]{12,64}$/.test(handle.id)) return undefined
    const known = this.#tasks.get(handle.id)
    if (known !== undefined) return known
    const engine = await this.#profile.find()
    const container = engine.docker.getContainer(handle.id)
    const found = await container
      .inspect({ abortSignal: engine.deadline() })
      .catch((error: unknown) => {
        if (engineStatus(error) === 404) return undefined
        throw engineError(error, `container ${handle.id.slice(0, 12)}`)
      })
    if (found === undefined || !isAttemptOf(hostInstance, found.Name, found.Config.Labels)) {
      return undefined
    }
    // It was created, but its start never came about: nothing ran, nothing is to be taken up.
    if (found.State.Status === 'created') {
      if (this.#starting.has(found.Id)) return undefined
      await discardContainer(engine, container)
      await this.#directories.of(found.Name)?.remove()
      await this.#quota?.discard(found.Name.replace(/^\//, ''))
      return undefined
    }
    return this.#takeUp(engine, container, found)
  }

  async list(): Promise<RuntimeHandle[]> {
    const label = `${LABELS.host}=${this.#instance()}`
    const engine = await this.#profile.find()
    const found = await engine.docker
      .listContainers({
        all: true,
        filters: { label: [label] },
        abortSignal: engine.deadline(),
      })
      .catch((error: unknown) => {
        throw engineError(error, `containers of ${engine.where}`)
      })
    const names = found.flatMap(({ Names }) => Names)
    await this.#directories.sweep(names)
    await this.#quota?.sweep(names)
    return found
      .filter(({ Names, Labels }) =>
        Names.some((name) => isAttemptOf(this.#instance(), name, Labels)),
      )
      .map(({ Id }) => ({ v: 1, runtime: this.name, id: Id }))
  }

  close(): Promise<void> {
    this.#closed = true
    this.#reaper?.release({ nothingLeft: this.#tasks.size === 0 })
    for (const task of this.#tasks.values()) task.release()
    this.#tasks.clear()
    return Promise.resolve()
  }

  /** Before there is anything that could outlive us. */
  #ensureReaper({ target }: Engine): void {
    const { reaper = { afterMs: ORPHANED_MS } } = this.#options
    if (reaper === false) return
    this.#reaper ??= new Reaper({
      target,
      hostInstance: this.#instance(),
      stateDir: this.#stateDir,
      generation: this.#generation,
      afterMs: reaper.afterMs,
    })
    this.#reaper.ensure()
  }

  #openSockets(
    directory: AttemptDirectory | undefined,
    grant: ConnectionGrant,
  ): Promise<AttemptSockets> | undefined {
    if (directory === undefined) return undefined
    if (grant.egress === undefined && grant.ports.length === 0) return undefined
    return AttemptSockets.open(directory.path, grant, this.#addresses)
  }

  #instance(): string {
    if (this.#closed) throw new ManyhandsError('CLOSED', 'the docker runtime was closed')
    if (this.#hostInstance === undefined) {
      throw new ManyhandsError('INTERNAL', 'docker: open() has to be called first')
    }
    return this.#hostInstance
  }

  /** The first process of containers, for this engine; unpacked once. */
  #init(info: EngineInfo): Promise<string> {
    this.#initProgram ??= installInit(this.#stateDir, info.Architecture ?? '').catch(
      (error: unknown) => {
        // The next start tries again.
        this.#initProgram = undefined
        throw error
      },
    )
    return this.#initProgram
  }

  async #run(
    engine: Engine,
    container: Docker.Container,
    spec: RuntimeSpec,
    workspace: Workspace,
    place: {
      name: string
      directory: AttemptDirectory
      isVolume: boolean
      grant: ConnectionGrant
    },
    signal: AbortSignal,
  ): Promise<DockerTask> {
    const { name, directory, isVolume, grant } = place
    signal.throwIfAborted()
    // There before the container looks for them.
    const sockets = await this.#openSockets(directory, grant)
    // Attached before the start, or the first words of a fast task are lost.
    const attached = await attach(container)
    try {
      await container.start({ abortSignal: engine.deadline() })
    } catch (error) {
      ;(attached as { destroy?: () => void }).destroy?.()
      await sockets?.close()
      throw engineError(error, `attempt ${spec.attemptId}`)
    }
    const task = this.#track({
      engine,
      container,
      outDir: workspace.outDir,
      isVolume,
      releaseDisk: () => this.#quota!.discard(name),
      gpuUse: this.#profile.gpuUse(spec.gpuIds),
      directory,
      sockets,
      diskBytes: spec.resources.diskBytes,
      maxRuntimeMs: spec.maxRuntimeMs,
      paused: false,
      ranMs: 0,
      attached,
      recovered: false,
    })
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      signal.throwIfAborted()
      await Promise.race([confirmStart(() => directory.record(), task.wait()), aborted.promise])
      return task
    } catch (error) {
      await task.remove()
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async #takeUp(
    engine: Engine,
    container: Docker.Container,
    found: Docker.ContainerInspectInfo,
  ): Promise<DockerTask> {
    this.#ensureReaper(engine)
    const labels = found.Config.Labels
    const name = found.Name.replace(/^\//, '')
    const isVolume = await this.#quota!.takeUp(name, { running: found.State.Running })
    const { Running, StartedAt, FinishedAt } = found.State
    const until = Running ? Date.now() : Date.parse(FinishedAt)
    const ranMs = Math.max(0, until - Date.parse(StartedAt))
    const directory = this.#directories.of(found.Name)
    const sockets = found.State.Running
      ? await this.#openSockets(directory, grantOf(labels))?.catch(() => undefined)
      : undefined
    const attached = found.State.Running
      ? await attach(container).catch(() => undefined)
      : undefined
    return this.#track({
      engine,
      container,
      outDir: found.Mounts.find((mount) => mount.Destination === '/out')?.Source ?? '',
      isVolume,
      releaseDisk: () => this.#quota!.discard(name),
      directory,
      sockets,
      gpuUse: this.#profile.gpuUse(gpuIdsOf(found.HostConfig.DeviceRequests)),
      diskBytes: Number(labels[LABELS.diskBytes]),
      // How much of `ranMs` it was paused is not known here: its first process knows, and ends it.
      maxRuntimeMs: Number(labels[LABELS.maxRuntimeMs]),
      paused: found.State.Paused,
      ranMs,
      attached,
      recovered: true,
    })
  }

  #track(
    options: Omit<
      ConstructorParameters<typeof DockerTask>[0],
      'canLimit' | 'engineLostMs' | 'onRemoved'
    >,
  ): DockerTask {
    const { id } = options.container
    const task = new DockerTask({
      ...options,
      canLimit: this.#profile.canLimit,
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

/** As the template wrote it. */
function grantOf(labels: Record<string, string>): ConnectionGrant {
  const egress = labels[LABELS.egress] || undefined
  const ports = labels[LABELS.ports] || undefined
  return {
    egress: egress === undefined ? undefined : JSON.parse(egress),
    ports: ports === undefined ? [] : ports.split(',').map(Number),
  }
}
