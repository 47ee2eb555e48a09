import type { Logger } from '@manyhands/core'
import type { PolicyEnforcer } from './policy-enforcer.ts'
import type { ScheduleKeeper } from './schedule-keeper.ts'

/** How often rules are held against the computer and what runs on it, ms. */
const PERIOD_MS = 1_000

/** Holds schedule and quotas against what runs, every second. Returns what ends it. */
export function watchRules(
  keeper: ScheduleKeeper,
  enforcer: PolicyEnforcer,
  logger: Logger,
): () => void {
  const warn = (cause: unknown) =>
    logger.warn('rules could not be applied', { cause: String(cause) })
  const timer = setInterval(() => {
    keeper.tick().catch(warn)
    enforcer.tick().catch(warn)
  }, PERIOD_MS)
  timer.unref()
  return () => clearInterval(timer)
}
