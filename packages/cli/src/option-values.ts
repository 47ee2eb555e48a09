import { InvalidArgumentError } from 'commander'

/** A number above zero. */
export function positiveNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('Expected a number above 0.')
  }
  return value
}

/** An integer of at least 0. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.')
  return Number(text)
}

/** An integer of at least 1. */
export function countingNumber(text: string): number {
  const value = wholeNumber(text)
  if (value < 1) throw new InvalidArgumentError('Expected a whole number of at least 1.')
  return value
}

/** A value of which a second one would take away the first. */
export function once(text: string, before?: string): string {
  if (before !== undefined) throw new InvalidArgumentError('It was given before.')
  return text
}

/** Names separated by commas; may be given several times. */
export function nameList(text: string, before: string[] = []): string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.includes('')) throw new InvalidArgumentError('Expected names separated by commas.')
  return [...before, ...names]
}

/** `NAME=VALUE` pairs; may be given several times. */
export function assignment(
  text: string,
  before: Record<string, string> = {},
): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('Expected NAME=VALUE.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

/** How many GPUs, all of them, or which ones by id. */
export function gpuChoice(text: string): number | 'all' | string[] {
  if (text === 'all') return text
  return /^\d+$/.test(text) ? wholeNumber(text) : nameList(text)
}
