import { join } from 'node:path'
import { ManyhandsError } from '@manyhands/core'
import type { Engine } from '../engine.ts'
import { loopObstacle, type QuotaChoice, type QuotaKind } from './quota-kind.ts'
import { type VolumeStore, volumeStore } from './volume-store.ts'

/** Bounds the disk of attempts, each known by its container's name. */
export class DiskQuota {
  readonly #choice: QuotaChoice
  readonly #stateDir: string
  readonly #volumes: VolumeStore
  /** Volumes that this process made or took up; others without a container are leftovers. */
  readonly #own = new Set<string>()
  #obstacle: Promise<string | undefined> | undefined

  constructor(choice: QuotaChoice, stateDir: string) {
    this.#choice = choice
    this.#stateDir = stateDir
    this.#volumes = volumeStore(join(stateDir, 'volumes'))
  }

  /**
   * What is in force with this engine; tried once.
   *
   * @throws RUNTIME_UNAVAILABLE when the owner chose volumes and there can be none: no attempt gets less
   */
  async kind(engine: Engine): Promise<QuotaKind> {
    if (this.#choice !== 'loop') return 'poll'
    this.#obstacle ??= loopObstacle(engine, this.#stateDir)
    const obstacle = await this.#obstacle
    if (obstacle === undefined) return 'loop'
    throw new ManyhandsError('RUNTIME_UNAVAILABLE', `disk quota: no volumes: ${obstacle}`)
  }

  /**
   * Gives an attempt its volume over `directory`; true when it is new. On failure nothing is left.
   *
   * @throws RUNTIME_FAILED
   */
  async prepare(name: string, directory: string, diskBytes: number): Promise<boolean> {
    this.#own.add(name)
    try {
      return await this.#volumes.prepare(name, directory, diskBytes)
    } catch (error) {
      this.#own.delete(name)
      throw error
    }
  }

  /**
   * Whether an attempt that another process started has a volume, which is mounted then. Under a
   * container that runs it is never mounted again: twice in use, its file system would be ruined.
   */
  async takeUp(name: string, { running }: { running: boolean }): Promise<boolean> {
    this.#own.add(name)
    return running ? this.#volumes.isMounted(name) : this.#volumes.reattach(name).catch(() => false)
  }

  /** Removes an attempt's volume; harmless when there is none. */
  async discard(name: string): Promise<void> {
    await this.#volumes.discard(name)
    this.#own.delete(name)
  }

  /** Removes what earlier processes left: volumes without a container, by the engine's names for them. */
  async sweep(containerNames: string[]): Promise<void> {
    const containers = new Set(containerNames.map((name) => name.replace(/^\//, '')))
    for (const name of await this.#volumes.names()) {
      if (!containers.has(name) && !this.#own.has(name)) await this.#volumes.discard(name)
    }
  }

  /** Whether any volume is there, also of earlier processes. */
  async hasAny(): Promise<boolean> {
    return (await this.#volumes.names()).length > 0
  }
}
