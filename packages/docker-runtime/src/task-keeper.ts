import type { RuntimeTask } from '@manyhands/core'
import type Docker from 'dockerode'
import type { AttemptDirectories, AttemptDirectory } from './attempt-directory.ts'
import { AttemptSockets, type ConnectionGrant } from './attempt-sockets.ts'
import { gpuIdsOf, LABELS } from './container-template.ts'
import type { CoreShelf } from './cores/core-shelf.ts'
import { cpusOf } from './cpu-limit.ts'
import type { DiskQuota } from './disk/disk-quota.ts'
import { DockerTask, type DockerTaskOptions } from './docker-task.ts'
import type { AddressPolicy } from './egress/address-policy.ts'
import type { Engine } from './engine.ts'
import type { EngineProfile } from './engine-profile.ts'
import { imageId } from './image.ts'

export interface TaskKeeperOptions {
  profile: EngineProfile
  directories: AttemptDirectories
  quota: DiskQuota
  cores: CoreShelf
  addresses: AddressPolicy
  engineLostMs: number
}

/** What only the task's container tells. */
type OwnOptions = Omit<
  DockerTaskOptions,
  'canLimit' | 'engineLostMs' | 'onRemoved' | 'changeCores' | 'releaseDisk'
>

/** Every task of this process by its container's id, until it is removed. */
export class TaskKeeper {
  readonly #options: TaskKeeperOptions
  readonly #tasks = new Map<string, DockerTask>()

  constructor(options: TaskKeeperOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#tasks.size
  }

  get(containerId: string): DockerTask | undefined {
    return this.#tasks.get(containerId)
  }

  /** Watches a container from here on; `name` is what it holds its disk and its cores by. */
  track(name: string, own: OwnOptions): DockerTask {
    const { profile, quota, cores, engineLostMs } = this.#options
    const { id } = own.container
    const task = new DockerTask({
      ...own,
      canLimit: profile.canLimit,
      engineLostMs,
      changeCores: (cpus) => cores.change(name, cpus),
      releaseDisk: () => quota.discard(name),
      onRemoved: () => this.#tasks.delete(id),
    })
    this.#tasks.set(id, task)
    // What has ended uses none; the next may come before it is removed.
    void task.wait().then(() => cores.release(name))
    return task
  }

  /** A container that another process started, or an earlier try of ours. */
  async takeUp(
    engine: Engine,
    container: Docker.Container,
    found: Docker.ContainerInspectInfo,
  ): Promise<RuntimeTask> {
    const { profile, directories, quota, cores } = this.#options
    const labels = found.Config.Labels
    const name = found.Name.replace(/^\//, '')
    const { Running, StartedAt, FinishedAt, Paused } = found.State
    const isVolume = await quota.takeUp(name, { running: Running })
    const until = Running ? Date.now() : Date.parse(FinishedAt)
    const directory = directories.of(name)
    const sockets = Running
      ? await this.openSockets(directory, grantOf(labels))?.catch(() => undefined)
      : undefined
    const attached = Running ? await attach(container).catch(() => undefined) : undefined
    cores.adopt(name, cpusOf(found.HostConfig), found.HostConfig.CpusetCpus ?? '')
    return this.track(name, {
      engine,
      container,
      image: imageId(found.Image),
      outDir: found.Mounts.find((mount) => mount.Destination === '/out')?.Source ?? '',
      isVolume,
      directory,
      sockets,
      gpuUse: profile.gpuUse(gpuIdsOf(found.HostConfig.DeviceRequests)),
      diskBytes: Number(labels[LABELS.diskBytes]),
      // How much of `ranMs` it was paused is not known here: its first process knows, and ends it.
      maxRuntimeMs: Number(labels[LABELS.maxRuntimeMs]),
      paused: Paused,
      ranMs: Math.max(0, until - Date.parse(StartedAt)),
      attached,
      recovered: true,
    })
  }

  /** Undefined when nothing was granted. */
  openSockets(
    directory: AttemptDirectory | undefined,
    grant: ConnectionGrant,
  ): Promise<AttemptSockets> | undefined {
    if (directory === undefined) return undefined
    if (grant.egress === undefined && grant.ports.length === 0) return undefined
    return AttemptSockets.open(directory.path, grant, this.#options.addresses)
  }

  /** Lets go of all of them; their containers go on. */
  release(): void {
    for (const task of this.#tasks.values()) task.release()
    this.#tasks.clear()
  }
}

export function attach(container: Docker.Container): Promise<NodeJS.ReadableStream> {
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
