import { setTimeout as delay } from 'node:timers/promises'
import type { ControlClient } from '@manyhands/control/client'
import { ManyhandsError, parseDuration } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { orInterrupted } from '../interruption.ts'
import { runningHost } from '../running-host.ts'

/** How long a host that was told to end is watched until it has. */
const END_MS = 15_000

export async function drainHost(
  flags: { deadline?: string; finish?: boolean; stop?: boolean; reason?: string; state?: string },
  context: CommandContext,
): Promise<void> {
  const { output, interruption } = context
  const { deadline, finish = false, stop = false, reason } = flags
  if (finish && deadline !== undefined) {
    throw new ManyhandsError('USAGE', 'drain: --finish has no --deadline', {
      hint: 'Name one of the two.',
    })
  }
  const chosen = finish
    ? 'never'
    : deadline === undefined
      ? undefined
      : parseDuration(deadline, '--deadline')
  const control = await runningHost(context, flags)
  interruption.signal.addEventListener('abort', () => {
    output.say(`the host goes on draining${stop ? ' and ends then' : ''}`)
  })
  const report = await orInterrupted(
    control.drain({ deadline: chosen, reason, stop }, { signal: interruption.signal }),
    interruption.signal,
  )
  const ended = stop ? await hasEnded(control) : undefined
  output.document(ended === undefined ? report : { ...report, stopped: ended })
  output.event('drained', ended === undefined ? report : { ...report, stopped: ended })
  if (output.format !== 'text') return
  output.say(`drained: ${report.completed} finished, ${report.evicted} ended`)
  if (ended !== undefined) output.say(ended ? 'the host has ended' : 'the host is still ending')
}

async function hasEnded(control: ControlClient): Promise<boolean> {
  const until = performance.now() + END_MS
  while (performance.now() < until) {
    const error = await control.version().then(
      () => undefined,
      (thrown: ManyhandsError) => thrown,
    )
    if (error?.code === 'CONNECT_FAILED') return true
    await delay(100)
  }
  return false
}
