import type { EngineAddress } from './connect/engine-address.ts'
import type { QuotaChoice } from './disk/quota-kind.ts'
import type { GpuQuery } from './gpu-query.ts'
import type { IsolationChoice } from './isolation.ts'

export interface DockerOptions extends EngineAddress {
  /**
   * The OCI runtime that containers get, which the engine must have: `'runsc'` is gVisor, `'kata'` a
   * small virtual machine each. Default: the engine's own default. Where the engine lacks it, the
   * runtime is unavailable; no attempt ever runs with less.
   */
  isolation?: IsolationChoice
  /**
   * How an attempt's disk is bounded. `'loop'`: its output directory is a file system of its own in a
   * file, which ends where the quota does; needs Linux, root, and an engine on this computer.
   * `'poll'`: the directory is measured every 250 ms. Default `'auto'`; see the decision on disk quotas.
   */
  diskQuota?: QuotaChoice
  /**
   * Binds each task to cores of its own, as many as it asked for, rounded up, so that one with many
   * threads slows down none of its neighbours. Default true; without effect where the engine is not on
   * this computer or has no cpusets.
   */
  cpuPinning?: boolean
  /**
   * Removes what is left of this host when its process was killed and none has come back after this
   * time, default 10 minutes; `false` leaves it to the next one. A process of its own, started with the
   * first container.
   */
  reaper?: false | { afterMs: number }
  egress?: {
    /**
     * Networks that tasks with the profile `egress` may reach although they are not public, as
     * `10.1.0.0/16`. Default none: loopback, private, link-local and metadata addresses are refused.
     */
    allowNetworks?: string[]
  }
  /**
   * How GPUs are asked for, default by NVIDIA's own program on this computer; `false` offers none.
   * They are offered only where the engine can give them one by one.
   */
  gpus?: false | { query?: GpuQuery }
  /** How long the engine may be away before its attempts count as lost, default 120,000 ms. */
  engineLostMs?: number
}
