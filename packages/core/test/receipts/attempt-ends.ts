import {
  type AttemptEnd,
  type AttemptSpec,
  createIdentity,
  DEFAULT_RESOURCES,
  NO_USAGE,
  type ReceiptSubject,
  receiptKey,
  receiptOf,
  signReceipt,
} from '@manyhands/core'

export const digest = (letter: string) => `sha256:${letter.repeat(64)}`

export const host = createIdentity(new Uint8Array(32).fill(7))
export const client = createIdentity(new Uint8Array(32).fill(8))

export const spec: AttemptSpec = {
  runtime: 'docker',
  image: digest('a'),
  command: ['render', '17'],
  env: { QUALITY: 'high' },
  inputs: [
    { path: '/in/scene', root: digest('1'), bytes: 10 },
    { path: '/in/textures', root: digest('2') },
  ],
  outputs: ['/out/**'],
  resources: DEFAULT_RESOURCES,
  timeoutMs: 60_000,
  networkProfile: 'none',
}

export const subject: ReceiptSubject = {
  client: client.peerId,
  host: host.peerId,
  job: 'job-1',
  task: '17',
  attempt: 'f00d.2',
  nonce: '00112233445566778899aabbccddeeff',
  spec,
}

export function someEnd(own: Partial<AttemptEnd> = {}): AttemptEnd {
  return {
    exitCode: 0,
    oom: false,
    timedOut: false,
    durationMs: 1500,
    usage: { ...NO_USAGE, elapsedMs: 1500, cpuMs: 1400 },
    stdoutTail: new TextEncoder().encode('frame 17\n'),
    stderrTail: new Uint8Array(),
    outputs: { root: digest('b'), bytes: 300 },
    ...own,
  }
}

/** An end as an honest host seals it. */
export function sealed(
  own: Partial<AttemptEnd> = {},
  phase: 'completed' | 'failed' | 'evicted' = 'completed',
  image: string | undefined = digest('a'),
): AttemptEnd {
  const end = someEnd(own)
  const receipt = receiptOf(subject, phase, end, image)
  return { ...end, receipt: signReceipt(receipt, receiptKey(host.seed)) }
}
