import { setTimeout as delay } from 'node:timers/promises'
import { ManyhandsError, type RpcResult, toManyhandsError } from '@manyhands/core'
import type { JobImage } from './image-desk.ts'

/** An export may take minutes; a host that asks hears within this time, and asks again, ms. */
const ANSWER_MS = 10_000

/**
 * What a host hears that asks for an image. Its artifacts may be fetched from then on.
 *
 * @param ready - gets the roots before the host does
 * @throws INPUT_UNREADABLE
 */
export async function answerImage(
  image: JobImage,
  ready: (roots: string[]) => void,
): Promise<RpcResult<'attempt.image'>> {
  const late = new AbortController()
  try {
    const roots = await Promise.race([
      image.roots(),
      delay(ANSWER_MS, undefined, { signal: late.signal, ref: false }).catch(() => undefined),
    ])
    if (roots === undefined) return { exportedBytes: image.exportedBytes }
    ready(roots)
    return { root: roots[0]!, exportedBytes: image.exportedBytes }
  } catch (cause) {
    const error = toManyhandsError(cause, 'INPUT_UNREADABLE')
    throw new ManyhandsError(error.code, withoutPaths(error.message), { hint: error.hint, cause })
  } finally {
    late.abort()
  }
}

/** Paths of this computer are nobody else's business. */
function withoutPaths(message: string): string {
  return message.replace(/(^|[\s"'(=:])(?:[A-Za-z]:)?(?:[\\/][^\s"':;,)\\/]+){2,}/g, '$1…')
}
