import { ManyhandsError } from './errors.ts'
import type { RuntimeCapabilities, RuntimeSpec } from './runtime.ts'

/**
 * What a runtime cannot keep is answered, never ignored: a task that believes in a limit or a secret
 * that is not there is worse than none. Every runtime calls it first in `start`.
 *
 * @throws UNSUPPORTED naming what was asked for
 */
export function assertSupported(
  spec: RuntimeSpec,
  capabilities: RuntimeCapabilities,
  runtime: string,
): void {
  const asked: [boolean, string][] = [
    [spec.networkProfile !== 'none' && !capabilities.egress, 'no network'],
    [spec.gpuIds.length > 0 && !capabilities.gpus, 'no GPUs'],
    [Object.keys(spec.secrets ?? {}).length > 0 && !capabilities.secrets, 'no secrets'],
    [(spec.ports ?? []).length > 0 && !capabilities.dial, 'no ports'],
  ]
  const missing = asked.filter(([unkept]) => unkept).map(([, what]) => what)
  if (missing.length === 0) return
  throw new ManyhandsError(
    'UNSUPPORTED',
    `the runtime ${runtime} gives tasks ${missing.join(' and ')}`,
  )
}
