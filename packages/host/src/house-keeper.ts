import type { Logger } from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import type { AttemptDesk } from './attempt-desk.ts'
import type { ImageRoom } from './image-room.ts'
import { lendingOf } from './lending.ts'
import type { OfferBoard } from './offer-board.ts'
import type { PolicyBook } from './policy-book.ts'
import type { HostRuntime } from './runtime-recovery.ts'
import type { SandboxEnder } from './sandbox-ender.ts'

/** How often runtimes are looked at again and old ends are let go, ms. */
const PERIOD_MS = 15_000

export interface HouseKeeperOptions {
  desk: AttemptDesk
  sandboxes: SandboxEnder
  runtimes: ReadonlyMap<string, HostRuntime>
  ledger: AdmissionLedger
  policy: PolicyBook
  board: OfferBoard
  images: ImageRoom
  /** How long ends wait for their client, ms. */
  holdMs: number
  /** Removes what is kept for later when the disk is nearly full. */
  makeRoom(): Promise<void>
  logger: Logger
}

/** What a host does now and then: old ends go, leftovers are removed, engines are looked at again. */
export class HouseKeeper {
  readonly #options: HouseKeeperOptions
  readonly #timer: NodeJS.Timeout

  constructor(options: HouseKeeperOptions) {
    this.#options = options
    this.#timer = setInterval(() => {
      void this.#keep().catch((cause) => {
        options.logger.warn('housekeeping failed', { cause: String(cause) })
      })
    }, PERIOD_MS)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** A runtime answers, or does not any more: GPUs come and go with it. */
  runtimeChanged(): void {
    const { ledger, policy, runtimes, board } = this.#options
    const { share, gpus } = lendingOf(policy.document.share, runtimes)
    const ids = (devices: readonly { id: string }[]) => devices.map(({ id }) => id).join('\n')
    if (ids(gpus) !== ids(ledger.gpus)) ledger.resize(share, gpus)
    board.changed({ now: true })
  }

  async #keep(): Promise<void> {
    const { desk, sandboxes, runtimes, holdMs } = this.#options
    await desk.expire(holdMs)
    await this.#options.makeRoom()
    await sandboxes.removeLeftovers()
    await this.#options.images.tidy()
    for (const entry of runtimes.values()) {
      if (entry.recovering) continue
      const { available, gpus } = entry.fingerprint
      entry.fingerprint = await entry.runtime.fingerprint()
      const changed = entry.fingerprint.gpus?.length !== gpus?.length
      if (changed || available !== entry.fingerprint.available) this.runtimeChanged()
    }
  }
}
