import { LIMITS } from '../limits.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
const CONTROL = /[\u0000-\u001f\u007f]/
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$/i
const WINDOWS_FORBIDDEN = /[<>:"|?*]|[. ]$/

/**
 * Why a path may not be part of an artifact, or undefined when it may: relative POSIX in NFC, every
 * part a plain name. Names that Windows reserves are refused where they would do harm, on Windows;
 * elsewhere they are ordinary (`aux.c`).
 */
export function unsafePathReason(
  path: string,
  { windows = process.platform === 'win32' }: { windows?: boolean } = {},
): string | undefined {
  if (path === '') return 'it is empty'
  if (Buffer.byteLength(path) > LIMITS.pathBytes)
    return `it has more than ${LIMITS.pathBytes} bytes`
  if (!path.isWellFormed() || path.includes('\uFFFD')) return 'it is not valid UTF-8'
  if (path.startsWith('/')) return 'it is absolute'
  if (CONTROL.test(path)) return 'it contains a control character'
  if (path.includes('\\')) return 'it contains a backslash'
  if (path.normalize('NFC') !== path) return 'it is not in Unicode form NFC'
  for (const part of path.split('/')) {
    if (part === '') return 'it has an empty part'
    if (part === '.' || part === '..') return `it has a part ${part}`
    if (Buffer.byteLength(part) > LIMITS.nameBytes) {
      return `it has a name of more than ${LIMITS.nameBytes} bytes`
    }
    if (windows && (WINDOWS_DEVICE.test(part) || WINDOWS_FORBIDDEN.test(part))) {
      return 'it has a name that Windows reserves'
    }
  }
  return undefined
}

/** What two names have in common when a file system that ignores case takes them for one. */
export function foldCase(path: string): string {
  return path.toUpperCase().toLowerCase().normalize('NFC')
}

/** Orders paths by their UTF-8 bytes without encoding them. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index)
    const y = b.charCodeAt(index)
    if (x === y) continue
    // In UTF-16 a surrogate sorts before U+E000..U+FFFF, in UTF-8 what it stands for sorts after.
    const surrogates = Number(isSurrogate(x)) - Number(isSurrogate(y))
    return surrogates === 0 ? x - y : surrogates
  }
  return a.length - b.length
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}
