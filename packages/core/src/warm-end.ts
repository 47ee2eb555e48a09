import { ManyhandsError } from './errors.ts'
import type { RuntimeExit, RuntimeTask } from './runtime.ts'

/** Of what a setup wrote last, in the message of its error. */
const TOLD_LINES = 5
/** Of the same, characters in its details. */
const TOLD_CHARACTERS = 4096

/** Whether another task may follow in a warm sandbox; anything else than this end is suspicious. */
export function isCleanExit({ reason, exitCode, signal, oom, detail }: RuntimeExit): boolean {
  return (
    reason === 'exited' && exitCode === 0 && signal === undefined && !oom && detail === undefined
  )
}

/**
 * Waits for the setup of a warm sandbox, which a runtime has started there as a task, and removes it.
 *
 * @throws SETUP_FAILED, with what it wrote last, unless it ended cleanly; what the signal was aborted with, once
 *   it is killed
 */
export async function finishSetup(task: RuntimeTask, signal: AbortSignal): Promise<void> {
  const kill = () => void task.kill().catch(() => {})
  signal.addEventListener('abort', kill, { once: true })
  if (signal.aborted) kill()
  try {
    let stderr = ''
    for await (const { stream, bytes } of task.output()) {
      if (stream !== 'stderr') continue
      stderr = (stderr + Buffer.from(bytes).toString()).slice(-TOLD_CHARACTERS)
    }
    const exit = await task.wait()
    signal.throwIfAborted()
    if (!isCleanExit(exit)) throw setupFailed(exit, stderr)
  } finally {
    signal.removeEventListener('abort', kill)
  }
  await task.remove()
}

function setupFailed(exit: RuntimeExit, stderr: string): ManyhandsError {
  const last = stderr.trimEnd().split('\n').slice(-TOLD_LINES).join('\n')
  return new ManyhandsError(
    'SETUP_FAILED',
    `the setup ${howItEnded(exit)}${last === '' ? '' : `: ${last}`}`,
    { details: { stderr } },
  )
}

function howItEnded({ reason, exitCode, signal, oom, detail }: RuntimeExit): string {
  if (reason === 'max-runtime') return 'ran for too long'
  if (reason === 'disk') return 'wrote too much'
  if (oom) return 'ran out of memory'
  if (reason !== 'exited') return `ended: ${detail ?? reason}`
  return `ended with ${signal ?? `exit code ${exitCode}`}`
}
