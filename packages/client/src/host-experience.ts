import { z } from 'zod'

/** Images of which durations are remembered, the ones used last. */
const IMAGES = 64
/** How much the newest measurement counts. */
const NEWEST = 0.25
/** Addresses at which it was seen, the last ones. */
const ADDRESSES = 8
/** Counts are halved beyond this, so that what a host does now outweighs what it once did. */
const COUNTED = 200

const count = z.number().nonnegative()

export const experienceSchema = z.object({
  v: z.literal(1),
  completed: count,
  failed: count,
  lost: count,
  evicted: count,
  /** Bytes per second of inputs that it was given. */
  bytesPerSecond: count.optional(),
  /** IP addresses at which this client was connected to it. */
  addresses: z.array(z.string()).optional(),
  /** By image: how long a task took, ms, smoothed. */
  images: z.record(z.string(), count),
})

export type ExperienceDocument = z.infer<typeof experienceSchema>
export type AttemptOutcome = 'completed' | 'failed' | 'lost' | 'evicted'

const NOTHING: ExperienceDocument = {
  v: 1,
  completed: 0,
  failed: 0,
  lost: 0,
  evicted: 0,
  images: {},
}

/** What this client has seen of one host, from one process to the next: how fast and how reliable it is. */
export class HostExperience {
  #known: ExperienceDocument
  readonly #images: Map<string, number>

  constructor(known: unknown) {
    // What another version wrote is no loss: it is learned anew.
    this.#known = experienceSchema.safeParse(known).data ?? NOTHING
    this.#images = new Map(Object.entries(this.#known.images))
  }

  get completed(): number {
    return this.#known.completed
  }

  get failed(): number {
    return this.#known.failed
  }

  get lost(): number {
    return this.#known.lost
  }

  get evicted(): number {
    return this.#known.evicted
  }

  get bytesPerSecond(): number | undefined {
    return this.#known.bytesPerSecond
  }

  get addresses(): readonly string[] {
    return this.#known.addresses ?? []
  }

  /** This client is connected to it there. */
  seenAt(addresses: readonly string[]): void {
    const known = [...new Set([...addresses, ...this.addresses])].slice(0, ADDRESSES)
    this.#known = { ...this.#known, addresses: known }
  }

  /** How many of its attempts end well, from 0 to 1. Of a host that nobody knows, half. */
  get reliability(): number {
    const { completed, failed, lost, evicted } = this.#known
    return (completed + 1) / (completed + failed + lost + evicted + 2)
  }

  /** How long a task of an image takes there, ms. */
  usualMs(image: string): number | undefined {
    return this.#images.get(image)
  }

  ended(outcome: AttemptOutcome, image: string, durationMs: number): void {
    const known = { ...this.#known, [outcome]: this.#known[outcome] + 1 }
    if (known.completed + known.failed + known.lost + known.evicted > COUNTED) {
      for (const each of ['completed', 'failed', 'lost', 'evicted'] as const) known[each] /= 2
    }
    this.#known = known
    if (outcome !== 'completed') return
    const before = this.#images.get(image)
    this.#images.delete(image)
    this.#images.set(image, smoothed(before, durationMs))
    if (this.#images.size > IMAGES) this.#images.delete([...this.#images.keys()][0]!)
  }

  /** Inputs came to it so fast. */
  received(bytesPerSecond: number): void {
    if (!(bytesPerSecond > 0)) return
    const before = this.#known.bytesPerSecond
    this.#known = { ...this.#known, bytesPerSecond: smoothed(before, bytesPerSecond) }
  }

  document(): ExperienceDocument {
    return { ...this.#known, images: Object.fromEntries(this.#images) }
  }
}

function smoothed(before: number | undefined, now: number): number {
  return before === undefined ? now : before * (1 - NEWEST) + now * NEWEST
}
