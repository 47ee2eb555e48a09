import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { GcAmount, GcKept } from '../gc-report.ts'
import type { ContentFiles, ContentOnDisk } from './content-files.ts'
import type { KeptArtifacts } from './kept-artifacts.ts'
import { fileId } from './manifest.ts'
import type { ManifestFiles } from './manifest-files.ts'

/** What a plan is made from. Nothing of it is changed. */
export interface StoreView {
  contents: ContentFiles
  manifests: ManifestFiles
  kept: KeptArtifacts
  partDir: string
  holdersOf(root: string): readonly string[]
  /** Somebody reads its files at this moment. */
  inUse(root: string): boolean
  /** A file that is on its way in at this moment. */
  receiving(id: string): boolean
}

export interface StorePlanOptions {
  /** Most bytes that are kept for later. */
  keepBytes: number
  /** What cut transfers left and nobody touched for so long goes in any case, ms. */
  restMs: number
  /** Artifacts that nobody holds and that are not kept either go, too. */
  loose: boolean
  /** Names of a process that died go; only where no process works with the store. */
  temporaries: boolean
  /** Says for people what a holder is. */
  reasonOf: (holder: string) => string
}

/** What is to go, and how much that is. */
export interface StorePlan {
  /** Uses of what is kept, up to the plan: what is used later is no part of it. */
  uses: number
  roots: string[]
  /** Ids of files that no artifact has. */
  contents: string[]
  /** Names in the directory of partial files. */
  partials: string[]
  /** Manifests that are none. */
  damaged: string[]
  removed: GcAmount
  kept: GcKept[]
  /** Bytes that are on the disk for later alone, before anything goes: each file once. */
  laterBytes: number
}

const LATER = 'kept for later jobs'
const CUT = 'parts that a cut transfer would need again'
const UNDER_WAY = 'being read, written or received'
const UNKNOWN = 'a manifest cannot be read now, and may need them'
const UNHELD = 'held by nobody, and not told to be kept'

/** Something that is on the disk for later alone. */
type Later = { usedAt: number; left?: true } & (
  | { kind: 'artifact'; root: string }
  | { kind: 'content'; id: string; found: ContentOnDisk }
  | { kind: 'partial'; names: string[]; bytes: number }
)

/**
 * Decides what of a store goes. What is held stays, with every file that it needs. Of the rest, whatever was
 * used last stays first, for as long as all of it together is within `keepBytes`; each file counts once,
 * for the one that was used last.
 */
export async function planStore(view: StoreView, options: StorePlanOptions): Promise<StorePlan> {
  const { contents, manifests, kept } = view
  const plan: StorePlan = {
    uses: kept.uses,
    roots: [],
    contents: [],
    partials: [],
    damaged: manifests.damaged(),
    removed: nothing(),
    kept: [],
    laterBytes: 0,
  }
  const disk = await contents.onDisk()
  const stays = new Map<string, GcKept>()
  const needed = new Set<string>()
  /** Files of an artifact that nothing before it needs. */
  const claim = async (root: string) => {
    const artifact = await manifests.get(root)
    const fresh = new Set(artifact?.manifest.files.map(fileId)).difference(needed)
    const amount = { ...nothing(), artifacts: 1 }
    for (const id of fresh) add(amount, disk.get(id))
    return {
      fresh,
      amount,
      whole: artifact !== undefined && [...fresh].every((id) => disk.has(id)),
    }
  }
  const stay = (reason: string, amount: GcAmount) => {
    const sum = stays.get(reason) ?? { reason, ...nothing() }
    stays.set(reason, sum)
    for (const key of ['artifacts', 'files', 'bytes'] as const) sum[key] += amount[key]
  }

  const later: Later[] = []
  const unheld: string[] = []
  for (const root of manifests.roots()) {
    const [holder] = view.holdersOf(root)
    const usedAt = kept.usedAt(root)
    if (holder === undefined && !view.inUse(root) && (usedAt !== undefined || options.loose)) {
      if (usedAt === undefined) unheld.push(root)
      else later.push({ kind: 'artifact', root, usedAt })
      continue
    }
    const { fresh, amount } = await claim(root)
    for (const id of fresh) needed.add(id)
    const why = holder === undefined ? (view.inUse(root) ? UNDER_WAY : UNHELD) : undefined
    stay(why ?? options.reasonOf(holder!), amount)
  }

  for (const [id, found] of disk) {
    if (contents.isNeeded(id)) continue
    if (manifests.unreadable) stay(UNKNOWN, { artifacts: 0, ...found })
    else later.push({ kind: 'content', id, found, usedAt: found.changedAt })
  }
  later.push(...(await partials(view, options, plan, stay)))
  later.sort((a, b) => b.usedAt - a.usedAt)

  const gone: string[] = []
  const counted = new Set<string>()
  const oldest = Date.now() - options.restMs
  // Even what is empty goes when nothing is kept.
  let full = options.keepBytes === 0
  let staying = 0
  const decide = (item: Later, amount: GcAmount): boolean => {
    if (item.kind !== 'artifact') plan.laterBytes += amount.bytes
    if (item.kind !== 'artifact' && item.usedAt < oldest) return false
    full ||= staying + amount.bytes > options.keepBytes
    if (full) return false
    staying += amount.bytes
    stay(item.kind === 'artifact' ? LATER : CUT, amount)
    return true
  }
  for (const item of later) {
    if (item.kind === 'artifact') {
      const { fresh, amount, whole } = await claim(item.root)
      for (const id of fresh.difference(counted)) {
        counted.add(id)
        plan.laterBytes += disk.get(id)?.bytes ?? 0
      }
      // One that lost a file is of no use to anybody.
      if (whole && decide(item, amount)) for (const id of fresh) needed.add(id)
      else gone.push(item.root)
    } else if (item.kind === 'content') {
      const amount = nothing()
      add(amount, item.found)
      if (decide(item, amount)) continue
      plan.contents.push(item.id)
      add(plan.removed, item.found)
    } else {
      const amount = { artifacts: 0, files: item.names.length, bytes: item.bytes }
      if (decide(item, amount)) continue
      plan.partials.push(...item.names)
      plan.removed.files += amount.files
      plan.removed.bytes += amount.bytes
    }
  }
  for (const root of [...gone, ...unheld]) {
    const { fresh, amount } = await claim(root)
    for (const id of fresh) needed.add(id)
    for (const key of ['artifacts', 'files', 'bytes'] as const) plan.removed[key] += amount[key]
    plan.roots.push(root)
  }
  plan.removed.files += plan.damaged.length
  plan.kept = [...stays.values()].sort((a, b) => b.bytes - a.bytes)
  return plan
}

/** What is in the directory of partial files: both files of each, and temporary ones. */
async function partials(
  view: StoreView,
  options: StorePlanOptions,
  plan: StorePlan,
  stay: (reason: string, amount: GcAmount) => void,
): Promise<Later[]> {
  const cut = new Map<string, Later & { kind: 'partial' }>()
  const listed = await opendir(view.partDir).catch(() => undefined)
  for await (const { name } of listed ?? []) {
    const found = await stat(join(view.partDir, name)).catch(() => undefined)
    if (found === undefined) continue
    // A partial file has holes; what counts is what it takes.
    const amount = { artifacts: 0, files: 1, bytes: Math.min(found.size, found.blocks * 512) }
    const id = partialId(name)
    if (id === undefined ? !options.temporaries : view.receiving(id)) stay(UNDER_WAY, amount)
    else if (id === undefined) {
      plan.partials.push(name)
      plan.removed.files += 1
      plan.removed.bytes += amount.bytes
    } else {
      const one = cut.get(id) ?? { kind: 'partial', names: [], bytes: 0, usedAt: 0 }
      cut.set(id, one)
      one.names.push(name)
      one.bytes += amount.bytes
      one.usedAt = Math.max(one.usedAt, found.mtimeMs)
    }
  }
  return [...cut.values()]
}

/** The id of the file that a partial one is to become. */
export function partialId(name: string): string | undefined {
  return /^([0-9a-f]{64})\.(?:part|have)$/.exec(name)?.[1]
}

const nothing = (): GcAmount => ({ artifacts: 0, files: 0, bytes: 0 })

function add(sum: GcAmount, found: ContentOnDisk | undefined): void {
  if (found === undefined) return
  sum.files += found.files
  sum.bytes += found.bytes
}
