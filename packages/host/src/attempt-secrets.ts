import { LIMITS, ManyhandsError, type Network, type Runtime } from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import { whenClientIsThere } from './client-away.ts'

/** @throws UNSUPPORTED when a runtime cannot keep secrets off the disk; before anything is begun */
export function checkSecrets(attempt: Attempt, runtime: Runtime): void {
  if (!wanted(attempt) || runtime.capabilities.secrets) return
  throw new ManyhandsError(
    'UNSUPPORTED',
    `runtime ${runtime.name} cannot give secrets to attempt ${attempt.id}`,
    { hint: 'Choose hosts or a runtime that can keep secrets off the disk.' },
  )
}

/**
 * Asks the client for the secrets of an attempt that is about to start. They are returned and kept
 * nowhere: what is not in memory cannot be found on a disk.
 *
 * @throws what the client answers; PROTOCOL when they are not the ones that the spec names
 */
export async function fetchSecrets(
  attempt: Attempt,
  network: Network,
): Promise<Record<string, Uint8Array> | undefined> {
  if (!wanted(attempt)) return undefined
  const names = attempt.spec.secrets ?? []
  const { signal } = attempt.ending
  const { client: peer, id } = attempt
  const { secrets } = await whenClientIsThere({ network, peer, signal }, () =>
    network.call(peer, 'attempt.secrets', { id }, { signal }),
  )
  const bytes = Object.values(secrets).reduce((sum, secret) => sum + secret.length, 0)
  const named = names.every((name) => Object.hasOwn(secrets, name))
  if (named && Object.keys(secrets).length === new Set(names).size && bytes <= LIMITS.secretBytes) {
    return secrets
  }
  // Without a word of what came: it may be secret.
  throw new ManyhandsError('PROTOCOL', `attempt ${attempt.id}: the client sent other secrets`)
}

function wanted(attempt: Attempt): boolean {
  return (attempt.spec.secrets?.length ?? 0) > 0
}
