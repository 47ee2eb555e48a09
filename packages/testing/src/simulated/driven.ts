import type { VirtualClock } from './virtual-clock.ts'

/**
 * The same object, with which time passes while somebody waits for what it does: a promise of it, the next
 * of what it yields, and so on with the objects that these give.
 *
 * @param gives - methods whose promises are for objects of this kind, too
 */
export function driven<Of extends object>(
  object: Of,
  clock: VirtualClock,
  gives: readonly string[] = [],
): Of {
  return new Proxy(object, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...given: unknown[]) => {
        const made: unknown = Reflect.apply(value, target, given)
        if (isPromise(made)) {
          const inner = gives.includes(String(name))
            ? made.then((one) => driven(one as object, clock))
            : made
          return clock.during(inner)
        }
        return isIterable(made) ? iterated(made, clock) : made
      }
    },
  })
}

function iterated<Value>(
  iterable: AsyncIterable<Value>,
  clock: VirtualClock,
): AsyncIterableIterator<Value> {
  const iterator = iterable[Symbol.asyncIterator]()
  const made: AsyncIterableIterator<Value> = {
    next: () => clock.during(iterator.next().then((next) => withFiles(next, clock))),
    return: async (value) => (await iterator.return?.(value)) ?? { done: true, value },
    [Symbol.asyncIterator]: () => made,
  }
  return made
}

/** What a result or an event gives of files, may have to come from a host first. */
function withFiles<Value>(next: IteratorResult<Value>, clock: VirtualClock): IteratorResult<Value> {
  if (next.done || typeof next.value !== 'object' || next.value === null) return next
  for (const name of ['outputs', 'file'] as const) {
    const files = (next.value as Record<string, unknown>)[name]
    if (typeof files !== 'object' || files === null) continue
    return { done: false, value: { ...next.value, [name]: driven(files, clock) } }
  }
  return next
}

function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
