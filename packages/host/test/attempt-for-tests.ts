import { DEFAULT_RESOURCES, NO_USAGE, type RuntimeTask, type Usage } from '@manyhands/core'
import { Attempt } from '../src/attempt.ts'

/** An attempt that runs in a sandbox of which only `stats` exists. */
export function runningAttempt(
  id: string,
  options: { client?: string; job?: string; runtime?: string; stats?: () => Promise<Usage> } = {},
): Attempt {
  const { client = 'client', job = 'job', runtime = 'docker' } = options
  const attempt = new Attempt({
    id,
    client,
    job,
    jobName: `name of ${job}`,
    task: id,
    spec: {
      runtime,
      image: 'any',
      env: {},
      inputs: [],
      outputs: [],
      resources: DEFAULT_RESOURCES,
      timeoutMs: 0,
      networkProfile: 'none',
    },
  })
  attempt.move('staging')
  attempt.startedAt = performance.now()
  const stats = options.stats ?? (() => Promise.resolve(NO_USAGE))
  attempt.runtimeTask = { stats } as RuntimeTask
  attempt.move('running')
  return attempt
}
