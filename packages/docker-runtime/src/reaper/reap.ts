import { setTimeout as delay } from 'node:timers/promises'
import { AttemptDirectories } from '../attempt-directory.ts'
import { discardContainer } from '../container-creation.ts'
import { isAttemptOf, LABELS } from '../container-template.ts'
import { DiskQuota } from '../disk/disk-quota.ts'
import { createEngine, type Engine } from '../engine.ts'
import { hasState, wasTakenOver } from './generation.ts'
import type { ReaperOrder } from './reaper-order.ts'

/** How often it is looked whether a host has come back, at most. */
const LOOK_MS = 1000
/** How often the engine is asked whether anything is left, at most. */
const LIST_MS = 10_000
/** An engine that is away is asked again for this long, then whoever starts it has to clean up. */
const PATIENCE_MS = 24 * 3600 * 1000
const RETRY_MS = 10_000
const CALL_TIMEOUT_MS = 60_000

/**
 * Waits for the host to come back, and removes what is left of it when it does not: containers with
 * the label of this host instance, their volumes and directories, and nothing else.
 */
export async function reap(order: ReaperOrder): Promise<void> {
  const engine = createEngine(order.target)
  const nothingLeft = async () =>
    (await leftovers(engine, order).catch(() => undefined))?.length === 0
  const isBack = () => wasTakenOver(order.stateDir, order.generation)
  const dueAt = performance.now() + order.afterMs
  let lookAt = 0
  while (performance.now() < dueAt) {
    // Whoever removed them: without containers there is nothing to wait for.
    if (performance.now() >= lookAt) {
      if (await nothingLeft()) break
      lookAt = performance.now() + LIST_MS
    }
    await delay(Math.min(LOOK_MS, Math.max(1, dueAt - performance.now())))
    if (await isBack()) return
  }
  const giveUpAt = performance.now() + PATIENCE_MS
  while (performance.now() < giveUpAt) {
    if (await isBack()) return
    try {
      if (await removeAll(engine, order, isBack)) return
    } catch {
      // The engine is away. With the host's state gone too, neither is expected back.
      if (!(await hasState(order.stateDir))) return
    }
    await delay(Math.min(RETRY_MS, Math.max(100, order.afterMs)))
  }
}

async function removeAll(
  engine: Engine,
  order: ReaperOrder,
  isBack: () => Promise<boolean>,
): Promise<boolean> {
  for (const { Id } of await leftovers(engine, order)) {
    if (await isBack()) return true
    await discardContainer(engine, engine.docker.getContainer(Id))
  }
  const left = await leftovers(engine, order)
  if (!(await isBack()))
    await sweep(
      order,
      left.flatMap(({ Names }) => Names),
    )
  return left.length === 0
}

async function sweep({ stateDir, hostInstance }: ReaperOrder, containers: string[]): Promise<void> {
  await new DiskQuota('poll', stateDir).sweep(containers)
  await new AttemptDirectories(stateDir, hostInstance).sweep(containers)
}

async function leftovers(engine: Engine, { hostInstance }: ReaperOrder) {
  const found = await engine.docker.listContainers({
    all: true,
    filters: { label: [`${LABELS.host}=${hostInstance}`] },
    abortSignal: engine.deadline(CALL_TIMEOUT_MS),
  })
  // An image can bring any label; the name is the host's alone.
  return found.filter(({ Names, Labels }) =>
    Names.some((name) => isAttemptOf(hostInstance, name, Labels)),
  )
}
