// What stands for node:util in a browser.

type Callback<Result> = (error: Error | null, result?: Result) => void

export function promisify<Args extends unknown[], Result>(
  work: (...args: [...Args, Callback<Result>]) => void,
): (...args: Args) => Promise<Result> {
  return (...args) =>
    new Promise((resolve, reject) => {
      work(...args, (error, result) => {
        if (error === null || error === undefined) resolve(result as Result)
        else reject(error)
      })
    })
}

/** Of documents: plain objects, arrays, bytes and what is no object. */
export function isDeepStrictEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  if (ArrayBuffer.isView(a)) {
    const [one, other] = [a as Uint8Array, b as Uint8Array]
    return one.length === other.length && one.every((byte, at) => byte === other[at])
  }
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  return keys.every(
    (key) =>
      Object.hasOwn(b, key) &&
      isDeepStrictEqual((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
  )
}
