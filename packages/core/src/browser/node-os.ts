// What stands for node:os in a browser.

export function tmpdir(): string {
  return '/tmp'
}

/** There are no threads of ours. */
export function availableParallelism(): number {
  return 1
}

export function endianness(): 'BE' | 'LE' {
  return new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 'LE' : 'BE'
}

/** What a page is called where a computer would have a name. */
export function hostname(): string {
  return 'browser'
}

/** A page is not told where it is. */
export function networkInterfaces(): Record<string, { address: string; cidr: string | null }[]> {
  return {}
}
