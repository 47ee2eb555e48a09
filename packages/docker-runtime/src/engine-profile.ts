import { ManyhandsError, type RuntimeCapabilities, type RuntimeFingerprint } from '@manyhands/core'
import { type EngineFinder, engineFinder } from './connect/find-engine.ts'
import type { DiskQuota } from './disk/disk-quota.ts'
import type { DockerOptions } from './docker-options.ts'
import type { Engine } from './engine.ts'
import { engineMessage, unreachableReason } from './engine-error.ts'
import { type EngineInfo, securityNames } from './engine-info.ts'
import { type GpuDriver, Gpus, gpuDriver, nvidiaSmi } from './gpu-query.ts'
import {
  type ChosenIsolation,
  canUpdate,
  chooseIsolation,
  engineAttributes,
  type IsolationLevel,
} from './isolation.ts'
import { type SandboxAbilities, sandboxAbilities } from './sandbox-abilities.ts'
import { canKeepSecrets } from './secret-files.ts'

const FINGERPRINT_TIMEOUT_MS = 3000

/** What is known of the engine behind a runtime: where it is, what it says of itself, what it can do. */
export class EngineProfile {
  readonly #options: DockerOptions
  readonly #finder: EngineFinder
  readonly #gpus: Gpus | undefined
  /** What the engine said of itself last; undefined until it has answered once. */
  #info: EngineInfo | undefined
  #isLocal = false
  #hasMemoryFiles = false
  #pinningRefused = false

  constructor(options: DockerOptions) {
    this.#options = options
    this.#finder = engineFinder(options)
    const { gpus = {} } = options
    this.#gpus = gpus === false ? undefined : new Gpus(gpus.query ?? nvidiaSmi)
  }

  /** Learns what can be known beforehand. An engine that is away is asked again by whoever needs it. */
  async open(): Promise<void> {
    this.#hasMemoryFiles = await canKeepSecrets()
    await this.find().then(
      (engine) => this.#ask(engine),
      () => {},
    )
  }

  /** @throws RUNTIME_UNAVAILABLE naming every place that was tried */
  find(): Promise<Engine> {
    return this.#finder.find()
  }

  /** @throws RUNTIME_UNAVAILABLE when the engine has never told and does not tell now */
  async info(engine: Engine): Promise<EngineInfo> {
    const info = this.#info ?? (await this.#ask(engine))
    if (info instanceof ManyhandsError) throw info
    return info
  }

  /** @throws RUNTIME_UNAVAILABLE when the engine lacks what the owner chose */
  isolation(info: EngineInfo): ChosenIsolation {
    return chooseIsolation(info, this.#options.isolation)
  }

  get capabilities(): RuntimeCapabilities {
    const able = this.#abilities
    return {
      image: 'named',
      pause: true,
      limit: this.canLimit,
      exec: true,
      dial: able.sockets,
      egress: able.sockets,
      secrets: able.secrets,
      gpus: this.gpuDriver() !== undefined,
      recover: true,
      liveOutputs: true,
      restore: true,
      warm: able.warm,
      isolation: 'container',
    }
  }

  async fingerprint(quotas: DiskQuota | undefined): Promise<RuntimeFingerprint> {
    const engine = await this.find().catch((error: ManyhandsError) => error)
    if (engine instanceof ManyhandsError) return unavailable(engine.message)
    const info = await this.#ask(engine)
    if (info instanceof ManyhandsError) return unavailable(info.message)
    try {
      const isolation = this.isolation(info)
      const quota = await quotas?.kind(engine)
      return {
        available: true,
        version: info.ServerVersion,
        attributes: {
          ...engineAttributes(info, isolation),
          ...(quota === undefined ? {} : { 'docker.disk-quota': quota }),
        },
        isolation: isolation.level,
        gpus: this.gpuDriver() === undefined ? [] : await this.#gpus!.devices(),
      }
    } catch (error) {
      return unavailable((error as Error).message)
    }
  }

  /** How containers get single GPUs; undefined when they cannot. */
  gpuDriver(): GpuDriver | undefined {
    if (this.#gpus === undefined || this.#info === undefined) return undefined
    try {
      return gpuDriver(this.#info, this.isolation(this.#info).level)
    } catch {
      return undefined
    }
  }

  /** What samples the use of an attempt's GPUs; undefined when it has none. */
  gpuUse(ids: string[]): (() => Promise<number | undefined>) | undefined {
    const gpus = this.#gpus
    return ids.length === 0 || gpus === undefined ? undefined : () => gpus.use(ids)
  }

  /** Whether containers can be bound to cores that we know: those of this computer. */
  canPin(engine: Engine): boolean {
    const { cpuPinning = true } = this.#options
    const info = this.#info
    if (!cpuPinning || !engine.local || info?.CPUSet !== true || this.#pinningRefused) return false
    return !securityNames(info).includes('rootless')
  }

  /** The engine has other cores than we see: it refused ours. */
  refusePinning(): void {
    this.#pinningRefused = true
  }

  /** Whether limits of a running container can be changed. */
  get canLimit(): boolean {
    return this.#info === undefined || canUpdate(this.#info, this.#options.isolation)
  }

  /** What the engine says of itself now, or why it does not. */
  async #ask(engine: Engine): Promise<EngineInfo | ManyhandsError> {
    try {
      // The declared type has no signal, the client library does take one.
      const bounded = { abortSignal: engine.deadline(FINGERPRINT_TIMEOUT_MS) } as never
      const info = (await engine.docker.info(bounded)) as unknown as EngineInfo
      this.#isLocal = engine.local
      this.#info = info
      return info
    } catch (error) {
      const why = unreachableReason(error) ?? engineMessage(error)
      return new ManyhandsError(
        'RUNTIME_UNAVAILABLE',
        `no Docker engine answers at ${engine.where}: ${why}`,
        { cause: error },
      )
    }
  }

  get #abilities(): SandboxAbilities {
    const info = this.#info
    let level: IsolationLevel | undefined
    try {
      level = info === undefined ? undefined : this.isolation(info).level
    } catch {
      // The engine lacks what the owner chose: fingerprint() says so.
    }
    return sandboxAbilities(info, level, this.#isLocal, this.#hasMemoryFiles)
  }
}

function unavailable(detail: string): RuntimeFingerprint {
  return { available: false, detail, attributes: {} }
}
