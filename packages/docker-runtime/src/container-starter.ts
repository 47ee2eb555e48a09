import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  assertSupported,
  ManyhandsError,
  type RuntimeSpec,
  type RuntimeTask,
  type WarmSpec,
  type Workspace,
} from '@manyhands/core'
import type Docker from 'dockerode'
import type { AttemptDirectories, AttemptDirectory } from './attempt-directory.ts'
import { type ConnectionGrant, connectionGrant } from './attempt-sockets.ts'
import {
  type CreatedContainer,
  containerExists,
  createContainer,
  discardContainer,
} from './container-creation.ts'
import { containerName, containerTemplate, hasSecrets } from './container-template.ts'
import type { CoreShelf } from './cores/core-shelf.ts'
import type { DiskQuota } from './disk/disk-quota.ts'
import type { DockerTask } from './docker-task.ts'
import type { Engine } from './engine.ts'
import { engineError } from './engine-error.ts'
import { type EngineInfo, engineKind, mapsUsers } from './engine-info.ts'
import type { EngineProfile } from './engine-profile.ts'
import { type EngineImage, imageId, RecentImages } from './image.ts'
import { resolveTravelled } from './images/travelled-image.ts'
import { installInit } from './init/init-program.ts'
import { confirmStart } from './start-record.ts'
import { attach, type TaskKeeper } from './task-keeper.ts'
import { MirroredInputs } from './warm/mirrored-inputs.ts'
import { ProgramLink } from './warm/program-link.ts'
import { WarmContainer } from './warm/warm-container.ts'
import { openWorkspace, sandboxUser } from './workspace-access.ts'

/** gVisor's kernel is a process in the container's control group; without threads it dies, with code 2. */
const GVISOR_THREADS = 128
/** Podman otherwise asks for 2^20, which a service that is not wholly privileged may not grant. */
const PODMAN_USER_PROCESSES = 16_384

export interface ContainerStarterOptions {
  hostInstance: string
  stateDir: string
  profile: EngineProfile
  directories: AttemptDirectories
  quota: DiskQuota
  cores: CoreShelf
  tasks: TaskKeeper
  /** Called before there is anything that could outlive us. */
  beforeFirst(engine: Engine): void
}

/** What an attempt has on this computer before its container runs. */
interface Place {
  name: string
  directory: AttemptDirectory
  isVolume: boolean
  /** Before this start: then they are not this start's to release. */
  hadCores: boolean
  grant: ConnectionGrant
  /** For one program after another: over this connection, once its container is started. */
  warm?: { link?: ProgramLink; image?: EngineImage }
}

/** Makes and starts containers; whatever fails on the way leaves nothing. */
export class ContainerStarter {
  readonly #options: ContainerStarterOptions
  readonly #user = sandboxUser()
  readonly #images = new RecentImages()
  /** Containers between their creation and their start, which are nobody's leftovers. */
  readonly #starting = new Set<string>()
  #initProgram: Promise<string> | undefined

  constructor(options: ContainerStarterOptions) {
    this.#options = options
  }

  isStarting(containerId: string): boolean {
    return this.#starting.has(containerId)
  }

  async start(spec: RuntimeSpec, workspace: Workspace, signal: AbortSignal): Promise<RuntimeTask> {
    return this.#place(spec, workspace, signal)
  }

  /** A container without a program; those that it is given run one after another, and setUp is the first. */
  async startWarm(
    spec: WarmSpec,
    place: { dir: string; inDir: string | undefined },
    signal: AbortSignal,
  ): Promise<WarmContainer> {
    const warm: NonNullable<Place['warm']> = {}
    const workspace = { inDir: join(place.dir, 'in'), outDir: join(place.dir, 'out') }
    await mkdir(workspace.inDir, { recursive: true })
    const inputs = new MirroredInputs(workspace.inDir)
    await inputs.show(place.inDir)
    const container = (await this.#place(spec, workspace, signal, warm)) as DockerTask
    const { directories, hostInstance, quota, profile } = this.#options
    const engine = await profile.find()
    const mapped = mapsUsers(await profile.info(engine))
    const sandbox = new WarmContainer({
      ...{ spec, container, inputs },
      link: warm.link!,
      image: warm.image!,
      outDir: workspace.outDir,
      endFile: directories.of(containerName(hostInstance, spec.attemptId))!.endFile,
      isVolume: (await quota.kind(engine)) === 'loop',
      openOut: () => openWorkspace({ ...workspace, inDir: undefined }, this.#user, { mapped }),
    })
    try {
      sandbox.assertSeen()
      if (spec.setup !== undefined) await sandbox.setUp(spec.setup, signal)
      return sandbox
    } catch (error) {
      await sandbox.close().catch(() => {})
      throw error
    }
  }

  async #place(
    spec: RuntimeSpec,
    workspace: Workspace,
    signal: AbortSignal,
    warm?: Place['warm'],
  ): Promise<RuntimeTask> {
    const { profile, directories, quota, cores, hostInstance } = this.#options
    signal.throwIfAborted()
    const engine = await profile.find()
    const info = await profile.info(engine)
    assertSupported(spec, profile.capabilities, 'docker')
    const name = containerName(hostInstance, spec.attemptId)
    const directory = directories.of(name)!
    const isVolume = (await quota.kind(engine)) === 'loop'
    const hadCores = cores.holds(name)
    const place: Place = {
      ...{ name, directory, isVolume, hadCores },
      grant: connectionGrant(spec),
      ...(warm === undefined ? {} : { warm }),
    }
    try {
      return await this.#start(engine, info, spec, workspace, place, signal)
    } catch (error) {
      if (!hadCores) cores.release(name)
      throw error
    }
  }

  async #start(
    engine: Engine,
    info: EngineInfo,
    spec: RuntimeSpec,
    workspace: Workspace,
    place: Place,
    signal: AbortSignal,
  ): Promise<RuntimeTask> {
    const { quota, tasks, cores } = this.#options
    const { name, directory } = place
    const template = await this.#template(engine, info, spec, workspace, place)
    signal.throwIfAborted()
    this.#options.beforeFirst(engine)
    const fresh = await this.#makeDirectory(engine, info, spec, place)
    await mkdir(workspace.outDir, { recursive: true })
    // Side by side: the engine looks at what is mounted only when it starts the container.
    const [room, created] = await Promise.allSettled([
      this.#makeRoom(spec, workspace, place, { mapped: mapsUsers(info) }),
      this.#create(engine, name, template, spec),
    ])
    if (created.status === 'rejected') {
      this.#images.forget(spec.image)
      if (fresh) await directory.remove()
      if (room.status === 'fulfilled' && room.value) await quota.discard(name)
      throw created.reason
    }
    const { container, existing } = created.value
    const known = tasks.get(container.id)
    if (place.warm !== undefined && existing !== undefined) {
      throw new ManyhandsError('RUNTIME_FAILED', `${name} is there already`)
    }
    if (known !== undefined) {
      if (!place.hadCores) cores.release(name)
      return known
    }
    if (existing !== undefined && existing.State.Status !== 'created') {
      return tasks.takeUp(engine, container, existing)
    }
    if (existing !== undefined) {
      cores.adopt(name, spec.resources.cpus, existing.HostConfig.CpusetCpus ?? '')
    }
    this.#starting.add(container.id)
    try {
      if (room.status === 'rejected') throw room.reason
      // One that an earlier try made may be of another image, if the tag has moved since.
      const image = imageId(existing?.Image ?? template.Image!)
      return await this.#run(engine, { container, image }, spec, workspace, place, signal)
    } catch (error) {
      await discardContainer(engine, container)
      await Promise.all([directory.remove(), quota.discard(name)])
      signal.throwIfAborted()
      throw engineError(error, `attempt ${spec.attemptId}`)
    } finally {
      this.#starting.delete(container.id)
    }
  }

  async #template(
    engine: Engine,
    info: EngineInfo,
    spec: RuntimeSpec,
    workspace: Workspace,
    { name, directory, warm }: Place,
  ): Promise<Docker.ContainerCreateOptions> {
    const { profile, cores, hostInstance } = this.#options
    const { ociRuntime, level } = profile.isolation(info)
    const asked = { info, hostInstance, reference: spec.image }
    const image = await resolveTravelled(this.#images, engine, asked)
    if (warm !== undefined) warm.image = image
    // A warm container's variables are those of each program.
    return containerTemplate(warm === undefined ? spec : { ...spec, env: {} }, workspace, {
      hostInstance,
      image,
      warm: warm !== undefined,
      directory,
      user: `${this.#user.uid}:${this.#user.gid}`,
      ociRuntime,
      gpuDriver: profile.gpuDriver(),
      runtimeThreads: level === 'gvisor' ? GVISOR_THREADS : 0,
      userProcesses: engineKind(info) === 'podman' ? PODMAN_USER_PROCESSES : undefined,
      cores: profile.canPin(engine) ? cores.take(name, spec.resources.cpus) : undefined,
    })
  }

  /** Bound to cores only as long as the engine has those that we see. */
  async #create(
    engine: Engine,
    name: string,
    template: Docker.ContainerCreateOptions,
    spec: RuntimeSpec,
  ): Promise<CreatedContainer> {
    try {
      return await createContainer(engine, name, template, spec)
    } catch (error) {
      if (!/requested cpus are not available/i.test((error as Error).message)) throw error
      this.#options.profile.refusePinning()
      this.#options.cores.release(name)
      const HostConfig = { ...template.HostConfig, CpusetCpus: '' }
      return createContainer(engine, name, { ...template, HostConfig }, spec)
    }
  }

  /** True when it was made, false when a container has it already. */
  async #makeDirectory(
    engine: Engine,
    info: EngineInfo,
    spec: RuntimeSpec,
    { name, directory }: Place,
  ): Promise<boolean> {
    const fresh = await directory.create(await this.#init(info), () =>
      containerExists(engine, name),
    )
    if (!fresh || !hasSecrets(spec)) return fresh
    await directory.writeSecrets(spec.secrets ?? {}, this.#user).catch(async (error: unknown) => {
      await directory.remove()
      throw error
    })
    return fresh
  }

  /** The directory that the task writes to; true when it got a new volume. */
  async #makeRoom(
    spec: RuntimeSpec,
    workspace: Workspace,
    { name, isVolume }: Place,
    { mapped }: { mapped: boolean },
  ): Promise<boolean> {
    const { diskBytes } = spec.resources
    const { quota } = this.#options
    const isNew = isVolume && (await quota.prepare(name, workspace.outDir, diskBytes))
    await openWorkspace(workspace, this.#user, { mapped })
    return isNew
  }

  async #run(
    engine: Engine,
    { container, image }: { container: Docker.Container; image: string },
    spec: RuntimeSpec,
    workspace: Workspace,
    { name, directory, isVolume, grant, warm }: Place,
    signal: AbortSignal,
  ): Promise<DockerTask> {
    const { tasks, profile } = this.#options
    signal.throwIfAborted()
    // There before the container looks for them.
    const sockets = await tasks.openSockets(directory, grant)
    if (warm !== undefined) warm.link = await ProgramLink.listen(directory.path)
    // Attached before the start, or the first words of a fast task are lost.
    const attached = warm === undefined ? await attach(container) : undefined
    try {
      await container.start({ abortSignal: engine.deadline() })
    } catch (error) {
      ;(attached as { destroy?: () => void }).destroy?.()
      await sockets?.close()
      await warm?.link?.close()
      throw engineError(error, `attempt ${spec.attemptId}`)
    }
    const task = tasks.track(name, {
      engine,
      container,
      image,
      outDir: workspace.outDir,
      isVolume,
      gpuUse: profile.gpuUse(spec.gpuIds),
      directory,
      sockets,
      diskBytes: spec.resources.diskBytes,
      // Of a warm container each program has its own.
      maxRuntimeMs: warm === undefined ? spec.maxRuntimeMs : Number.POSITIVE_INFINITY,
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
      const confirm = () => confirmStart(() => directory.record(), task.wait())
      const begun = warm === undefined ? confirm() : warm.link!.awaited(task.wait(), confirm)
      await Promise.race([begun, aborted.promise])
      return task
    } catch (error) {
      await task.remove()
      await warm?.link?.close()
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** The first process of containers, for this engine; unpacked once. */
  #init(info: EngineInfo): Promise<string> {
    this.#initProgram ??= installInit(this.#options.stateDir, info.Architecture ?? '').catch(
      (error: unknown) => {
        // The next start tries again.
        this.#initProgram = undefined
        throw error
      },
    )
    return this.#initProgram
  }
}
