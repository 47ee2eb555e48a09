import { join } from 'node:path'
import type { Runtime } from '@manyhands/core'
import type { HostRuntime } from './runtime-recovery.ts'

/** Opens the runtimes of a host, by name. What was opened is closed with `opening`, also when one fails. */
export async function openRuntimes(
  runtimes: readonly Runtime[],
  where: { instance: string; stateDir: string; opening: AsyncDisposableStack },
): Promise<Map<string, HostRuntime>> {
  const open = new Map<string, HostRuntime>()
  for (const runtime of runtimes) {
    const stateDir = join(where.stateDir, runtime.name)
    await runtime.open({ hostInstance: where.instance, stateDir })
    where.opening.defer(() => runtime.close())
    open.set(runtime.name, { runtime, fingerprint: await runtime.fingerprint() })
  }
  return open
}
