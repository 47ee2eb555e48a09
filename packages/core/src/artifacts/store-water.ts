import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { GcAmount, GcOptions, GcSection } from '../gc-report.ts'
import type { Logger } from '../network/network.ts'
import type { ArtifactHolds } from './artifact-holds.ts'
import type { ContentFiles } from './content-files.ts'
import type { DurableDirectory } from './durable-directory.ts'
import type { FileClaims } from './file-claims.ts'
import type { KeptArtifacts } from './kept-artifacts.ts'
import { fileId } from './manifest.ts'
import type { ManifestFiles } from './manifest-files.ts'
import {
  partialId,
  planStore,
  type StorePlan,
  type StorePlanOptions,
  type StoreView,
} from './store-plan.ts'

/** Where it stops when it went above: a part of the high water, so that not every addition removes something. */
const LOW_WATER = 0.8
/** What a cut transfer left is of use to the next one for so long, ms. */
export const PARTIAL_REST_MS = 24 * 3_600_000

export interface StoreWaterParts {
  contents: ContentFiles
  manifests: ManifestFiles
  kept: KeptArtifacts
  holds: ArtifactHolds
  claims: FileClaims
  durable: DurableDirectory
  partDir: string
  /** High water, bytes; undefined: what is kept stays until somebody tidies up. */
  keepBytes: (() => number) | undefined
  logger: Logger | undefined
}

/**
 * Holds what a store keeps for later between two marks: above the high water the least recently used goes
 * until the low water is reached. What is held is no part of it, and never goes.
 *
 * How much is kept is known exactly after a look at the disk, and from above in between, so that most
 * additions cost nothing.
 */
export class StoreWater {
  readonly #parts: StoreWaterParts
  readonly #view: StoreView
  readonly #stirred = new Set<string>()
  /** Bytes kept at most; undefined: nobody has looked. */
  #most: number | undefined
  #settling = false
  #work: Promise<unknown> = Promise.resolve()

  constructor(parts: StoreWaterParts) {
    this.#parts = parts
    const { holds, claims } = parts
    this.#view = {
      ...parts,
      holdersOf: (root) => holds.holdersOf(root),
      inUse: (root) => holds.isUsed(root),
      receiving: (id) => claims.isClaimed(id),
    }
  }

  /** An artifact is used, came, or is not held any more; without one: a transfer was cut. */
  stir(root?: string): void {
    if (root !== undefined) this.#stirred.add(root)
    else this.#most = undefined
    this.settle()
  }

  /** Looks whether it is above the high water, soon and behind the caller's back. */
  settle(): void {
    if (this.#parts.keepBytes === undefined || this.#settling) return
    this.#settling = true
    this.#inTurn(() => this.#settle()).catch((error) => {
      this.#parts.logger?.warn('what is kept for later could not be tidied up', {
        error: String(error),
      })
    })
  }

  async gc(options: GcOptions & { reasonOf?: (holder: string) => string }): Promise<GcSection> {
    return await this.#inTurn(async () => {
      const plan = await this.#plan({
        keepBytes: options.keepBytes ?? Number.POSITIVE_INFINITY,
        loose: true,
        ...(options.reasonOf === undefined ? {} : { reasonOf: options.reasonOf }),
      })
      options.signal?.throwIfAborted()
      if (!options.dryRun) await this.#carryOut(plan)
      return { room: 'artifacts', removed: plan.removed, kept: plan.kept }
    })
  }

  /** Frees so many bytes of what is kept for later, or all of it. Returns what went. */
  async makeRoom(bytes: number): Promise<GcAmount> {
    return await this.#inTurn(async () => {
      const { laterBytes } = await this.#plan({ keepBytes: Number.POSITIVE_INFINITY })
      if (laterBytes === 0) return { artifacts: 0, files: 0, bytes: 0 }
      const plan = await this.#plan({ keepBytes: Math.max(0, laterBytes - bytes) })
      await this.#carryOut(plan)
      return plan.removed
    })
  }

  /** Resolves when what was begun has ended. */
  async settled(): Promise<void> {
    await this.#work
    await this.#parts.kept.settled()
  }

  async #settle(): Promise<void> {
    this.#settling = false
    const high = this.#parts.keepBytes!()
    const stirred = [...this.#stirred]
    this.#stirred.clear()
    for (const root of stirred) {
      if (this.#most === undefined) break
      // Also what was counted before, when it was held meanwhile: from above is enough.
      this.#most += (await this.#parts.manifests.get(root))?.size ?? 0
    }
    if (this.#most !== undefined && this.#most <= high) return
    const { laterBytes } = await this.#plan({ keepBytes: Number.POSITIVE_INFINITY })
    this.#most = laterBytes
    if (laterBytes <= high) return
    const plan = await this.#plan({ keepBytes: high * LOW_WATER })
    await this.#carryOut(plan)
    this.#parts.logger?.debug('artifacts that were not used for long went', {
      ...plan.removed,
      keptBytes: high,
    })
  }

  #plan(options: Pick<StorePlanOptions, 'keepBytes'> & Partial<StorePlanOptions>) {
    return planStore(this.#view, {
      restMs: PARTIAL_REST_MS,
      loose: false,
      temporaries: false,
      reasonOf: () => 'held',
      ...options,
    })
  }

  /**
   * First the promises, durably, then what they rest on: whenever this is cut, files are left over, and no
   * artifact lacks one. What is wanted again since the plan was made stays.
   */
  async #carryOut(plan: StorePlan): Promise<void> {
    const { manifests, contents, durable, claims, kept, partDir } = this.#parts
    const unneeded: string[] = []
    const wanted = (root: string) =>
      this.#view.holdersOf(root).length > 0 ||
      this.#view.inUse(root) ||
      kept.lastUse(root) > plan.uses
    for (const root of plan.roots) {
      const artifact = await manifests.get(root)
      if (wanted(root)) continue
      kept.forget(root)
      if (artifact === undefined) continue
      for (const id of new Set(artifact.manifest.files.map(fileId))) unneeded.push(id)
      await manifests.remove(root)
      durable.removed(manifests.path(root))
    }
    if (unneeded.length > 0) await durable.flush()
    await contents.drop(unneeded)
    await contents.discard(plan.contents)
    for (const root of plan.damaged) await manifests.removeDamaged(root)
    for (const name of plan.partials) {
      const id = partialId(name)
      if (id === undefined || !claims.claim(id)) continue
      await rm(join(partDir, name), { force: true }).finally(() => claims.release(id))
    }
    this.#most = undefined
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const run = this.#work.then(work)
    this.#work = run.catch(() => undefined)
    return run
  }
}
