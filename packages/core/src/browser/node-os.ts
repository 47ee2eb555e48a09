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
