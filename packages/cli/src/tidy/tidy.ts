import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { tidyClientState } from '@manyhands/client'
import { type GcReport, ManyhandsError, parseByteSize } from '@manyhands/core'
import { tidyHostState } from '@manyhands/host'
import type { CommandContext } from '../command-context.ts'
import { runningHost } from '../running-host.ts'
import { hostStateDirectory } from '../state-home.ts'
import { gcText } from './gc-text.ts'

export interface GcFlags {
  dryRun?: boolean
  keep?: string
  state?: string
}

/** Whose state it was, and what was done by whom. */
interface Tidied extends GcReport {
  state: string
  kind: 'host' | 'client'
  /** Done by the host that runs with it. */
  running: boolean
}

/**
 * Tidies up a state directory: itself when no process has it open, else through the host that has.
 *
 * @throws CONFIG_INVALID where there is no state; STATE_LOCKED when who has it open cannot be asked
 */
export async function tidy(flags: GcFlags, context: CommandContext): Promise<void> {
  const { output, interruption } = context
  const { signal } = interruption
  const state = hostStateDirectory(context.env, context.cwd, flags.state)
  const options = {
    dryRun: flags.dryRun ?? false,
    ...(flags.keep === undefined ? {} : { keepBytes: parseByteSize(flags.keep, '--keep') }),
  }
  const done: Tidied[] = []
  if (await isThere(join(state, 'host.db'))) {
    const own = await unlessLocked(() => tidyHostState(state, { ...options, signal }))
    const report = own.report ?? (await askHost(own.locked!))
    done.push({ state, kind: 'host', running: own.report === undefined, ...report })
  }
  if (await isThere(join(state, 'client.db'))) {
    const report = await tidyClientState(state, { ...options, signal })
    done.push({ state, kind: 'client', running: false, ...report })
  }
  if (done.length === 0) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `there is no state of a host or a client in ${state}`,
      {
        hint: 'Name the directory with --state.',
      },
    )
  }
  output.document(done.length === 1 ? done[0] : done)
  for (const one of done) output.event('gc', one)
  for (const one of done) output.data(gcText(one))

  async function askHost(locked: ManyhandsError): Promise<GcReport> {
    const control = await runningHost(context, { state }).catch(() => {
      throw locked
    })
    return await control.gc(options, { signal })
  }
}

async function unlessLocked(
  work: () => Promise<GcReport>,
): Promise<{ report?: GcReport; locked?: ManyhandsError }> {
  try {
    return { report: await work() }
  } catch (error) {
    if (error instanceof ManyhandsError && error.code === 'STATE_LOCKED') return { locked: error }
    throw error
  }
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
