import type { GcReport, Offer } from '@manyhands/core'
import type {
  AdmissionRequest,
  DrainReport,
  Host,
  HostAttempt,
  HostPolicy,
  RuleVerdict,
  UsageSample,
  UsageTotals,
} from '@manyhands/host'
import { type ControlEndpoint, request, requestLines } from './control-request.ts'

/**
 * A running host, from another process of the same owner. Errors are those of the host's own methods;
 * `CONNECT_FAILED` when nothing listens.
 */
export interface ControlClient {
  version(options?: Abortable): Promise<{ version: string; peerId: string; pid: number }>
  offer(options?: Abortable): Promise<Offer>
  hosts(options?: Abortable): Promise<Offer[]>
  attempts(options?: Abortable): Promise<HostAttempt[]>
  /** @throws NOT_FOUND */
  attempt(id: string, options?: Abortable): Promise<HostAttempt>
  /** Once a second, of one attempt or of all. Ends with the host or the signal. */
  usage(options?: Abortable & { attempt?: string }): AsyncIterable<UsageSample>
  /** The last samples of one attempt, oldest first. @throws NOT_FOUND */
  history(id: string, options?: Abortable): Promise<UsageSample[]>
  /** What clients and jobs have used of this host. */
  totals(options?: Abortable): Promise<UsageTotals>
  /**
   * Resolves when nothing of it runs any more; with `wait: 'told'` as soon as the host knows, which an
   * engine that hangs cannot delay.
   *
   * @returns whether it is gone
   * @throws NOT_FOUND
   */
  kill(
    id: string,
    reason?: string,
    options?: Abortable & { wait?: 'gone' | 'told' },
  ): Promise<boolean>
  pause(id: string, reason?: string): Promise<HostAttempt>
  resume(id: string): Promise<HostAttempt>
  limit(id: string, change: Parameters<Host['limit']>[1]): Promise<HostAttempt>
  /**
   * Resolves when nothing runs any more: at the deadline at the latest. A signal ends the waiting, not the
   * drain. With `stop` the host's process ends afterwards.
   */
  drain(
    options?: NonNullable<Parameters<Host['drain']>[0]> & { stop?: boolean },
    abort?: Abortable,
  ): Promise<DrainReport>
  block(peer: string): Promise<void>
  unblock(peer: string): Promise<void>
  /** Peer ids that are blocked. */
  blocked(options?: Abortable): Promise<string[]>
  /** What is in force, without the owner's functions. */
  policy(options?: Abortable): Promise<HostPolicy>
  /**
   * Changes sections of the policy and tells what is in force then; functions stay as they are.
   *
   * @throws CONFIG_INVALID naming the setting; then nothing has changed
   */
  setPolicy(change: HostPolicy): Promise<HostPolicy>
  /** Tidies up what the running host keeps. */
  gc(options?: { dryRun?: boolean; keepBytes?: number }, abort?: Abortable): Promise<GcReport>
  /** What is left out takes the defaults of a job. */
  explain(
    request: Pick<AdmissionRequest, 'client' | 'runtime' | 'image'> & Partial<AdmissionRequest>,
  ): Promise<RuleVerdict[]>
  /** Prometheus' text format. */
  metrics(options?: Abortable): Promise<string>
}

interface Abortable {
  signal?: AbortSignal
}

/**
 * Talks to the host behind a control file.
 *
 * @example
 * const control = createControlClient((await readControlFile(path))!)
 * for (const { id } of await control.attempts()) await control.kill(id, 'need my machine')
 */
export function createControlClient(endpoint: ControlEndpoint): ControlClient {
  const get = async <Answer>(path: string, signal?: AbortSignal) =>
    JSON.parse(await request(endpoint, 'GET', path, undefined, signal)) as Answer
  const post = async <Answer>(path: string, body: unknown, signal?: AbortSignal) =>
    JSON.parse(await request(endpoint, 'POST', path, body, signal)) as Answer
  const at = (id: string) => `/v1/attempts/${encodeURIComponent(id)}`
  return {
    version: ({ signal } = {}) => get('/v1/version', signal),
    offer: ({ signal } = {}) => get('/v1/offer', signal),
    hosts: ({ signal } = {}) => get('/v1/hosts', signal),
    attempts: ({ signal } = {}) => get('/v1/attempts', signal),
    attempt: (id, { signal } = {}) => get(at(id), signal),
    usage: ({ attempt, signal } = {}) =>
      requestLines<UsageSample>(
        endpoint,
        attempt === undefined ? '/v1/usage' : `${at(attempt)}/usage`,
        signal,
      ),
    history: (id, { signal } = {}) => get(`${at(id)}/history`, signal),
    totals: ({ signal } = {}) => get('/v1/totals', signal),
    kill: async (id, reason, { wait = 'gone', signal } = {}) => {
      const path = `${at(id)}/kill${wait === 'gone' ? '?wait=gone' : ''}`
      return (await post<{ gone: boolean }>(path, { reason }, signal)).gone
    },
    pause: (id, reason) => post(`${at(id)}/pause`, { reason }),
    resume: (id) => post(`${at(id)}/resume`, {}),
    limit: (id, change) => post(`${at(id)}/limit`, change),
    drain: (options = {}, { signal } = {}) => post('/v1/drain', options, signal),
    block: async (peer) => {
      await post('/v1/block', { peer })
    },
    unblock: async (peer) => {
      await post('/v1/unblock', { peer })
    },
    blocked: ({ signal } = {}) => get('/v1/blocked', signal),
    policy: ({ signal } = {}) => get('/v1/policy', signal),
    setPolicy: async (change) =>
      JSON.parse(await request(endpoint, 'PUT', '/v1/policy', change)) as HostPolicy,
    gc: ({ dryRun = false, ...rest } = {}, { signal } = {}) =>
      post(`/v1/gc?dryRun=${dryRun}`, rest, signal),
    explain: (admission) => post('/v1/explain', admission),
    metrics: ({ signal } = {}) => request(endpoint, 'GET', '/metrics', undefined, signal),
  }
}
