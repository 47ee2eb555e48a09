import { itemRange, type JobSpec, LIMITS, ManyhandsError } from '@manyhands/core'

/** Items of one row of the journal. */
export const ITEMS_PER_BLOCK = 1024
/** Where a task finds its items, each as JSON on a line of its own. */
export const ITEMS_PATH = '/in/items.ndjson'

/** The items of a job that is split by items: known whole before the first is sent out. */
export interface SplitItems {
  count: number
  /** JSON of arrays of {@link ITEMS_PER_BLOCK} items, the last one of what is left. */
  blocks: string[]
}

/** Reads a source to its end. @throws SPEC_INVALID, LIMIT, RANGE_INVALID, what the source throws */
export async function readItems(
  tasks: JobSpec['tasks'],
  signal: AbortSignal | undefined,
): Promise<SplitItems> {
  const blocks: string[] = []
  let block: string[] = []
  let count = 0
  let bytes = 0
  const close = () => {
    if (block.length > 0) blocks.push(`[${block.join(',')}]`)
    block = []
  }
  for await (const item of typeof tasks === 'string' ? itemRange(tasks) : tasks) {
    signal?.throwIfAborted()
    const text = textOf(item, count)
    block.push(text)
    count += 1
    bytes += text.length
    if (count > LIMITS.itemsPerSplit || bytes > LIMITS.itemBytesPerSplit) {
      throw new ManyhandsError(
        'LIMIT',
        `spec.tasks: more than ${LIMITS.itemsPerSplit} items or ${LIMITS.itemBytesPerSplit} bytes of them, to be split by items`,
        { hint: "Submit several jobs, or split a range: { by: 'range' }." },
      )
    }
    if (block.length === ITEMS_PER_BLOCK) close()
  }
  close()
  return { count, blocks }
}

/** What a task reads: its items as lines. */
export function itemLines(items: readonly unknown[]): Uint8Array {
  return new TextEncoder().encode(items.map((item) => `${JSON.stringify(item)}\n`).join(''))
}

function textOf(item: unknown, index: number): string {
  let text: string | undefined
  try {
    text = JSON.stringify(item)
  } catch (cause) {
    const why = (cause as Error).message
    throw new ManyhandsError('SPEC_INVALID', `item ${index} cannot be written as JSON: ${why}`, {
      cause,
    })
  }
  return text ?? 'null'
}
