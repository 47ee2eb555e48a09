import {
  type ComparedFiles,
  createGlobs,
  LIMITS,
  type TaskOutputs,
  type TaskResult,
} from '@manyhands/core'
import { type Comparison, different, SAME, worst } from './comparison.ts'
import { Unreadable } from './unreadable.ts'

/** How the files of one kind are compared. */
export interface FileComparison {
  /** Globs of the files that are of this kind. */
  kind: string[]
  maxBytes: number
  /** @throws Unreadable when one of them is not of this kind */
  compare(path: string, a: Uint8Array, b: Uint8Array): Promise<Comparison> | Comparison
}

/**
 * Compares two results file by file. Sizes are looked at before anything is read: those of the manifest are
 * true, as every chunk was checked against it when it came.
 */
export async function compareFiles(
  how: FileComparison,
  { files, others = 'bytes' }: ComparedFiles,
  a: TaskResult,
  b: TaskResult,
): Promise<Comparison> {
  const globs = createGlobs((files ?? how.kind).map((glob) => glob.replace(/^\/out\//, '')))
  const left = split(a.outputs, (path) => globs.takes(path))
  const right = split(b.outputs, (path) => globs.takes(path))
  for (const { compared } of [left, right]) {
    if (compared.size === 0) return different('there is no file that could be compared')
    if (compared.size > LIMITS.comparedFiles) {
      return different(`${compared.size} files are beyond the limit of ${LIMITS.comparedFiles}`)
    }
    for (const [path, size] of compared) {
      if (size <= how.maxBytes) continue
      return different(`${path} has ${size} bytes, beyond the limit of ${how.maxBytes}`)
    }
  }
  const missing = oneSided(left.compared, right.compared)
  if (missing !== undefined) return different(`only one of them has ${missing}`)
  if (others === 'bytes') {
    const other = await compareOthers(left.others, right.others, a, b)
    if (!other.equal) return other
  }
  const parts: Comparison[] = []
  for (const path of left.compared.keys()) {
    const part = await comparePair(how, path, a, b)
    if (!part.equal) return part
    parts.push(part)
  }
  return worst(parts)
}

async function comparePair(
  how: FileComparison,
  path: string,
  a: TaskResult,
  b: TaskResult,
): Promise<Comparison> {
  try {
    return await how.compare(path, await a.outputs.read(path), await b.outputs.read(path))
  } catch (cause) {
    if (cause instanceof Unreadable)
      return different(`${path} cannot be compared: ${cause.message}`)
    throw cause
  }
}

async function compareOthers(
  left: Map<string, number>,
  right: Map<string, number>,
  a: TaskResult,
  b: TaskResult,
): Promise<Comparison> {
  const missing = oneSided(left, right)
  if (missing !== undefined) return different(`only one of them has ${missing}`)
  if (left.size > LIMITS.comparedFiles) {
    return different(`${left.size} other files are beyond the limit of ${LIMITS.comparedFiles}`)
  }
  for (const [path, size] of left) {
    const differs = different(`${path} is not the same in both`)
    if (right.get(path) !== size) return differs
    if (size > LIMITS.comparedFileBytes) {
      return different(`${path} has ${size} bytes, beyond the limit of ${LIMITS.comparedFileBytes}`)
    }
    const [one, other] = [await a.outputs.read(path), await b.outputs.read(path)]
    if (Buffer.compare(one, other) !== 0) return differs
  }
  return SAME
}

function split({ files }: TaskOutputs, takes: (path: string) => boolean) {
  const compared = new Map<string, number>()
  const others = new Map<string, number>()
  for (const { path, size } of files) (takes(path) ? compared : others).set(path, size)
  return { compared, others }
}

function oneSided(a: Map<string, number>, b: Map<string, number>): string | undefined {
  return [...a.keys()].find((path) => !b.has(path)) ?? [...b.keys()].find((path) => !a.has(path))
}
