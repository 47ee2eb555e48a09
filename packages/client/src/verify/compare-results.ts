import type { Comparator, ComparatorFunction, TaskResult } from '@manyhands/core'
import { compareBytes } from './compare-bytes.ts'
import { compareFiles } from './compare-files.ts'
import { compareByFunction } from './compare-function.ts'
import { imageFiles } from './compare-images.ts'
import { jsonFiles } from './compare-json.ts'
import { mdFiles } from './compare-md.ts'
import type { Comparison } from './comparison.ts'

type NamedComparator = Exclude<Comparator, string | ComparatorFunction>

/**
 * Compares two results of one task, both of which ended well. What cannot be read as what it should be, or
 * is beyond a limit, equals nothing.
 *
 * @throws COMPARE_INVALID for the caller's own function; what reading the outputs throws
 */
export async function compareResults(
  comparator: Comparator,
  a: TaskResult,
  b: TaskResult,
): Promise<Comparison> {
  if (typeof comparator === 'function') return compareByFunction(comparator, a, b)
  const how =
    typeof comparator === 'string' ? ({ kind: comparator } as NamedComparator) : comparator
  switch (how.kind) {
    case 'bytes':
      return compareBytes(how, a, b)
    case 'json':
      return compareFiles(jsonFiles(how), how, a, b)
    case 'image':
      return compareFiles(imageFiles(how), how, a, b)
    case 'md':
      return compareFiles(mdFiles(how), how, a, b)
  }
}
