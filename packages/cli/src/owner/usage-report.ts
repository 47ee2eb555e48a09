import type { ControlClient } from '@manyhands/control/client'
import { formatByteSize, formatDuration } from '@manyhands/core'
import type { HostAttempt, UsageSample } from '@manyhands/host'
import type { Output } from '../output.ts'
import { formatTable, shortPeer } from '../table.ts'

/** The last sample of every attempt, or of one. */
export async function usageNow(
  control: ControlClient,
  output: Output,
  attempt: string | undefined,
): Promise<void> {
  const attempts =
    attempt === undefined ? await control.attempts() : [await control.attempt(attempt)]
  const samples = attempts.map(sampleOf)
  output.document(samples)
  for (const sample of samples) output.event('usage', sample)
  output.data(usageTable(samples))
}

/** Samples as they are taken, until the host ends or the user does. */
export async function followUsage(
  control: ControlClient,
  output: Output,
  options: { attempt: string | undefined; signal: AbortSignal },
): Promise<void> {
  const { signal } = options
  let round = new Map<string, UsageSample>()
  try {
    for await (const sample of control.usage({ attempt: options.attempt, signal })) {
      output.event('usage', sample)
      if (output.format !== 'text') continue
      // A sample of an attempt already seen begins the next round; what ended is not in that one.
      if (round.has(sample.attempt)) round = new Map()
      round.set(sample.attempt, sample)
      output.draw(usageTable([...round.values()]))
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  if (output.format === 'text') output.draw('')
}

export function usageTable(samples: UsageSample[]): string {
  return formatTable(
    ['ATTEMPT', 'TIME', 'CPU', 'MEMORY', 'PEAK', 'PIDS', 'DISK', 'NET IN', 'NET OUT', 'CLIENT'],
    samples.map((sample) => [
      sample.attempt,
      formatDuration(sample.elapsedMs),
      sample.cpu.toFixed(2),
      formatByteSize(sample.memory),
      formatByteSize(sample.memoryPeak),
      sample.pids,
      formatByteSize(sample.disk),
      formatByteSize(sample.netIn),
      formatByteSize(sample.netOut),
      shortPeer(sample.client),
    ]),
  )
}

const sampleOf = (attempt: HostAttempt): UsageSample => ({
  ...attempt.usage,
  attempt: attempt.id,
  client: attempt.client,
  job: attempt.job,
})
