import {
  ManyhandsError,
  type Runtime,
  type RuntimeCapabilities,
  type RuntimeContext,
  type RuntimeFingerprint,
  type RuntimeHandle,
  type RuntimeImages,
  type RuntimeSpec,
  type RuntimeTask,
  type WarmSandbox,
  type WarmSpec,
  type Workspace,
} from '@manyhands/core'
import { AttemptDirectories } from './attempt-directory.ts'
import { discardContainer } from './container-creation.ts'
import { ContainerStarter } from './container-starter.ts'
import { containerName, isAttemptOf, LABELS } from './container-template.ts'
import { CoreShelf } from './cores/core-shelf.ts'
import { DiskQuota } from './disk/disk-quota.ts'
import type { DockerOptions } from './docker-options.ts'
import { AddressPolicy } from './egress/address-policy.ts'
import type { Engine } from './engine.ts'
import { engineError, engineStatus } from './engine-error.ts'
import { EngineProfile } from './engine-profile.ts'
import { EngineImages } from './images/engine-images.ts'
import { takeOver } from './reaper/generation.ts'
import { Reaper } from './reaper/reaper.ts'
import { TaskKeeper } from './task-keeper.ts'
import type { WarmContainer } from './warm/warm-container.ts'

const ENGINE_LOST_MS = 120_000
const ORPHANED_MS = 600_000

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

/** What the runtime consists of, for one host instance. */
interface Rooms {
  hostInstance: string
  directories: AttemptDirectories
  quota: DiskQuota
  tasks: TaskKeeper
  starter: ContainerStarter
  reaper: Reaper | undefined
  images: EngineImages
}

class DockerRuntime implements Runtime {
  readonly name = 'docker'
  readonly #options: DockerOptions
  readonly #profile: EngineProfile
  readonly #addresses: AddressPolicy
  /** Names of containers whose start is under way. */
  readonly #beingStarted = new Set<string>()
  readonly #warm = new Set<WarmContainer>()
  #rooms: Rooms | undefined
  #closed = false

  constructor(options: DockerOptions) {
    this.#options = options
    this.#profile = new EngineProfile(options)
    this.#addresses = new AddressPolicy(options.egress?.allowNetworks)
  }

  get capabilities(): RuntimeCapabilities {
    return this.#profile.capabilities
  }

  /** Known from `open()` on. */
  get images(): RuntimeImages | undefined {
    return this.#rooms?.images
  }

  async open({ hostInstance, stateDir }: RuntimeContext): Promise<void> {
    const profile = this.#profile
    const directories = new AttemptDirectories(stateDir, hostInstance)
    await directories.open()
    // First of all: from here on no reaper of an earlier process touches what is ours.
    const generation = await takeOver(stateDir)
    const quota = new DiskQuota(this.#options.diskQuota ?? 'auto', stateDir)
    // What the engine can do is known from here on, unless it is away.
    await profile.open()
    const cores = new CoreShelf()
    const shared = { profile, directories, quota, cores }
    const engineLostMs = this.#options.engineLostMs ?? ENGINE_LOST_MS
    const tasks = new TaskKeeper({ ...shared, addresses: this.#addresses, engineLostMs })
    const { reaper: wish = { afterMs: ORPHANED_MS } } = this.#options
    const reaper =
      wish === false
        ? undefined
        : new Reaper({ hostInstance, stateDir, generation, afterMs: wish.afterMs })
    const beforeFirst = ({ target }: Engine) => reaper?.ensure(target)
    const starter = new ContainerStarter({ ...shared, hostInstance, stateDir, tasks, beforeFirst })
    const images = new EngineImages({ hostInstance, stateDir, profile })
    await images.open()
    this.#rooms = { hostInstance, directories, quota, tasks, starter, reaper, images }
    if (await quota.hasAny()) await this.list().catch(() => {})
  }

  fingerprint(): Promise<RuntimeFingerprint> {
    return this.#profile.fingerprint(this.#rooms?.quota)
  }

  async start(
    spec: RuntimeSpec,
    workspace: Workspace,
    options: { signal: AbortSignal },
  ): Promise<RuntimeTask> {
    return this.#started(spec.attemptId, (starter) =>
      starter.start(spec, workspace, options.signal),
    )
  }

  async #started<Value>(
    attemptId: string,
    start: (starter: ContainerStarter) => Promise<Value>,
  ): Promise<Value> {
    const { hostInstance, starter } = this.#opened()
    const name = containerName(hostInstance, attemptId)
    // Side by side, each would take the other's half-made container for a leftover.
    if (this.#beingStarted.has(name)) {
      throw new ManyhandsError('RUNTIME_FAILED', `attempt ${attemptId} is being started already`)
    }
    this.#beingStarted.add(name)
    try {
      return await start(starter)
    } finally {
      this.#beingStarted.delete(name)
    }
  }

  async startWarm(
    spec: WarmSpec,
    place: { dir: string; inDir: string | undefined },
    options: { signal: AbortSignal },
  ): Promise<WarmSandbox> {
    if (!this.capabilities.warm) {
      throw new ManyhandsError('UNSUPPORTED', 'docker: this engine keeps no sandbox warm')
    }
    const sandbox = await this.#started(spec.attemptId, (starter) =>
      starter.startWarm(spec, place, options.signal),
    )
    this.#warm.add(sandbox)
    void sandbox.closed.then(() => this.#warm.delete(sandbox))
    return sandbox
  }

  async recover(handle: RuntimeHandle): Promise<RuntimeTask | undefined> {
    const { hostInstance, tasks, starter, directories, quota, reaper } = this.#opened()
    if (handle.runtime !== this.name || !/^[0-9a-f]{12,64}$/.test(handle.id)) return undefined
    const known = tasks.get(handle.id)
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
    // It was created, but its start never came about: nothing ran, nothing is to be taken up. A warm one ends
    // without the process that it takes its orders from.
    if (found.State.Status === 'created' || found.Config.Labels[LABELS.warm] === '1') {
      if (starter.isStarting(found.Id)) return undefined
      await discardContainer(engine, container)
      await directories.of(found.Name)?.remove()
      await quota.discard(found.Name.replace(/^\//, ''))
      return undefined
    }
    reaper?.ensure(engine.target)
    return tasks.takeUp(engine, container, found)
  }

  async list(): Promise<RuntimeHandle[]> {
    const { hostInstance, directories, quota } = this.#opened()
    const engine = await this.#profile.find()
    const found = await engine.docker
      .listContainers({
        all: true,
        filters: { label: [`${LABELS.host}=${hostInstance}`] },
        abortSignal: engine.deadline(),
      })
      .catch((error: unknown) => {
        throw engineError(error, `containers of ${engine.where}`)
      })
    const names = found.flatMap(({ Names }) => Names)
    await directories.sweep(names)
    await quota.sweep(names)
    return found
      .filter(({ Names, Labels }) => Names.some((name) => isAttemptOf(hostInstance, name, Labels)))
      .map(({ Id }) => ({ v: 1, runtime: this.name, id: Id }))
  }

  async close(): Promise<void> {
    this.#closed = true
    const { tasks, reaper } = this.#rooms ?? {}
    await Promise.all([...this.#warm].map((sandbox) => sandbox.close().catch(() => {})))
    reaper?.release({ nothingLeft: tasks!.size === 0 })
    tasks?.release()
  }

  #opened(): Rooms {
    if (this.#closed) throw new ManyhandsError('CLOSED', 'the docker runtime was closed')
    if (this.#rooms === undefined) {
      throw new ManyhandsError('INTERNAL', 'docker: open() has to be called first')
    }
    return this.#rooms
  }
}
