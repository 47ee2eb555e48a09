import {
  firstShortage,
  formatByteSize,
  ManyhandsError,
  parseDuration,
  type Resources,
  type Runtime,
  type RuntimeFingerprint,
} from '@manyhands/core'
import type { AdmissionLedger } from './admission-ledger.ts'
import type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
import type { PolicyOptions } from './policy.ts'

/** How long the owner's own function may think, ms. */
const ADMIT_TIMEOUT_MS = 5_000

/** What rules look at besides the request. */
export interface AdmissionState {
  readonly ledger: AdmissionLedger
  readonly policy: PolicyOptions
  readonly blocked: ReadonlySet<string>
  readonly runtimes: ReadonlyMap<string, { runtime: Runtime; fingerprint: RuntimeFingerprint }>
  draining(): boolean
  /** Attempts that are not over. */
  live(): number
}

interface Rule {
  name: string
  temporary: boolean
  /** In words why not, or undefined when the rule allows it. */
  refuse(request: AdmissionRequest, state: AdmissionState): string | undefined
}

const AMOUNTS: Record<keyof Resources, (value: number) => string> = {
  cpus: String,
  memoryBytes: formatByteSize,
  diskBytes: formatByteSize,
  gpus: String,
  pids: String,
}

function shortage(wanted: Resources, available: Resources, of: string): string | undefined {
  const short = firstShortage(wanted, available)
  if (short === undefined) return undefined
  const show = AMOUNTS[short]
  return `asks for ${show(wanted[short])} ${short.replace('Bytes', '')}, ${of} ${show(available[short])}`
}

/** Every rule, in the order of the answer. The owner's own function comes last. */
const RULES: Rule[] = [
  {
    name: 'draining',
    temporary: false,
    refuse: (_, state) => (state.draining() ? 'this host is draining' : undefined),
  },
  {
    name: 'blocked',
    temporary: false,
    refuse: ({ client }, state) =>
      state.blocked.has(client) ? 'this client is blocked' : undefined,
  },
  {
    name: 'clients',
    temporary: false,
    refuse: ({ client }, { policy }) =>
      policy.clients === undefined || policy.clients.includes(client)
        ? undefined
        : 'this client is not on the list of clients',
  },
  {
    name: 'images',
    temporary: false,
    refuse: ({ image }, { policy }) =>
      policy.images === undefined || policy.images.some((pattern) => matches(pattern, image))
        ? undefined
        : `image ${image} is not on the list of images`,
  },
  {
    name: 'networkProfiles',
    temporary: false,
    refuse: ({ networkProfile }, { policy }) =>
      networkProfile === 'none' || policy.networkProfiles?.includes('egress')
        ? undefined
        : 'tasks with network access are not taken',
  },
  {
    name: 'maxRuntime',
    temporary: false,
    refuse: ({ timeoutMs }, { policy }) => {
      const most = maxRuntimeMs(policy)
      return timeoutMs > most ? `asks for ${timeoutMs} ms, at most ${most} ms are given` : undefined
    },
  },
  {
    name: 'runtime',
    temporary: false,
    refuse: ({ runtime }, { runtimes }) => {
      return runtimes.has(runtime) ? undefined : `runtime ${runtime} is not offered`
    },
  },
  {
    name: 'runtime',
    temporary: true,
    refuse: ({ runtime }, { runtimes }) => {
      const fingerprint = runtimes.get(runtime)?.fingerprint
      if (fingerprint === undefined || fingerprint.available) return undefined
      return `runtime ${runtime} is not available: ${fingerprint.detail ?? 'no reason known'}`
    },
  },
  {
    name: 'share',
    temporary: false,
    refuse: ({ resources }, { ledger }) => shortage(resources, ledger.share, 'the whole share is'),
  },
  {
    name: 'free',
    temporary: true,
    refuse: ({ resources }, { ledger }) => shortage(resources, ledger.free, 'free now is'),
  },
  {
    name: 'maxAttempts',
    temporary: true,
    refuse: (_, { live, policy }) =>
      live() >= (policy.maxAttempts ?? 1024) ? 'no free slot' : undefined,
  },
]

export function maxRuntimeMs(policy: PolicyOptions): number {
  return parseDuration(policy.maxRuntime ?? '24h', 'policy.maxRuntime')
}

/** The first rule that refuses, without a word of the owner's function: synchronous and cheap. */
export function firstRefusal(
  request: AdmissionRequest,
  state: AdmissionState,
): RuleVerdict | undefined {
  for (const rule of RULES) {
    const detail = rule.refuse(request, state)
    if (detail !== undefined) {
      return { rule: rule.name, allowed: false, detail, temporary: rule.temporary }
    }
  }
  return undefined
}

/** Asks the owner's function; anything but a timely yes is a no. */
export async function askOwner(
  request: AdmissionRequest,
  policy: PolicyOptions,
): Promise<RuleVerdict | undefined> {
  if (policy.admit === undefined) return undefined
  const no = (detail: string): RuleVerdict => ({
    rule: 'admit',
    allowed: false,
    detail,
    temporary: false,
  })
  let timer: NodeJS.Timeout | undefined
  try {
    const answer = await Promise.race([
      policy.admit(structuredClone(request)),
      new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), ADMIT_TIMEOUT_MS)
      }),
    ])
    if (answer === undefined) return no('the owner’s own rule did not answer in time')
    return answer ? undefined : no('the owner’s own rule says no')
  } catch {
    return no('the owner’s own rule failed')
  } finally {
    clearTimeout(timer)
  }
}

/** Every rule's verdict. */
export async function explainRequest(
  request: AdmissionRequest,
  state: AdmissionState,
): Promise<RuleVerdict[]> {
  const verdicts = RULES.map((rule) => {
    const detail = rule.refuse(request, state)
    return {
      rule: rule.name,
      allowed: detail === undefined,
      detail: detail ?? 'ok',
      temporary: rule.temporary,
    }
  })
  const owner = await askOwner(request, state.policy)
  const admit = { rule: 'admit', allowed: true, detail: 'ok', temporary: false }
  return [...verdicts, owner ?? admit]
}

/** The error that a client gets for a refusal. */
export function refusalError(verdict: RuleVerdict): ManyhandsError {
  const details = { rule: verdict.rule }
  if (verdict.rule === 'runtime' && verdict.temporary) {
    return new ManyhandsError('RUNTIME_UNAVAILABLE', verdict.detail, { details })
  }
  if (verdict.rule === 'draining')
    return new ManyhandsError('HOST_DRAINING', verdict.detail, { details })
  return new ManyhandsError(
    verdict.temporary ? 'HOST_BUSY' : 'HOST_REFUSED',
    `${verdict.rule}: ${verdict.detail}`,
    { details },
  )
}

function matches(pattern: string, image: string): boolean {
  // An image that travels is named by its digest alone in lists.
  const name = image.startsWith('artifact:') ? image.slice('artifact:'.length) : image
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(name)
}
