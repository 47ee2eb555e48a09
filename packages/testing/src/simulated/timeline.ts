/** Something that is to happen. */
export interface TimelineEntry {
  readonly at: number
  readonly call: () => void
  canceled: boolean
}

interface Numbered extends TimelineEntry {
  readonly order: number
}

/** Canceled entries that are kept before the heap is made anew. */
const CANCELED = 1024

/** What is to happen, soonest first; of the same moment, what was asked for first. A binary heap. */
export class Timeline {
  #heap: Numbered[] = []
  #order = 0
  #canceled = 0

  add(at: number, call: () => void): TimelineEntry {
    this.#order += 1
    const entry = { at, call, canceled: false, order: this.#order }
    this.#heap.push(entry)
    this.#rise(this.#heap.length - 1)
    return entry
  }

  cancel(entry: TimelineEntry): void {
    if (entry.canceled) return
    entry.canceled = true
    this.#canceled += 1
    if (this.#canceled < CANCELED || this.#canceled * 2 < this.#heap.length) return
    // Sorted is a heap, too.
    this.#heap = this.#heap
      .filter(({ canceled }) => !canceled)
      .sort((a, b) => (before(a, b) ? -1 : 1))
    this.#canceled = 0
  }

  /** When the next thing happens; undefined when nothing will. */
  get next(): number | undefined {
    while (this.#heap[0]?.canceled) {
      this.#pop()
      this.#canceled -= 1
    }
    return this.#heap[0]?.at
  }

  /** Takes out what is due at a moment, in order. What is added meanwhile is not among it. */
  due(at: number): TimelineEntry[] {
    const due: TimelineEntry[] = []
    while (this.next !== undefined && this.next <= at) {
      const entry = this.#pop()
      due.push(entry)
    }
    return due
  }

  #pop(): Numbered {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length > 0) {
      heap[0] = last
      this.#sink()
    }
    return first
  }

  #rise(at: number): void {
    const heap = this.#heap
    for (let child = at; child > 0; ) {
      const parent = (child - 1) >> 1
      if (!before(heap[child]!, heap[parent]!)) return
      swap(heap, child, parent)
      child = parent
    }
  }

  #sink(): void {
    const heap = this.#heap
    for (let parent = 0; ; ) {
      const left = 2 * parent + 1
      const right = left + 1
      let least = parent
      if (left < heap.length && before(heap[left]!, heap[least]!)) least = left
      if (right < heap.length && before(heap[right]!, heap[least]!)) least = right
      if (least === parent) return
      swap(heap, parent, least)
      parent = least
    }
  }
}

function before(a: Numbered, b: Numbered): boolean {
  return a.at === b.at ? a.order < b.order : a.at < b.at
}

function swap(heap: Numbered[], a: number, b: number): void {
  const held = heap[a]!
  heap[a] = heap[b]!
  heap[b] = held
}
