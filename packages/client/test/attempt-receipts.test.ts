import {
  type AttemptEnd,
  type AttemptEvent,
  createIdentity,
  DEFAULT_RESOURCES,
  NO_USAGE,
  receiptKey,
  receiptOf,
  signReceipt,
  signReceipts,
  systemClock,
  verifyReceipt,
} from '@manyhands/core'
import { expect, it } from 'vitest'
import { AttemptReceipts } from '../src/attempt-receipts.ts'
import { JobKeys } from '../src/job-keys.ts'
import type { JobRun } from '../src/job-run.ts'
import { Task } from '../src/task.ts'

const client = createIdentity()
const host = createIdentity()
/** Keys of a client whose journal has nothing of its jobs. */
const keysOf = ({ peerId, seed }: ReturnType<typeof createIdentity>) =>
  new JobKeys(peerId, seed, {
    ownership: { of: () => undefined, put: () => {} },
    transact: async (work) => work(),
  })
const keys = keysOf(client)
const base = {
  runtime: 'docker',
  image: `sha256:${'a'.repeat(64)}`,
  env: {},
  inputs: [],
  outputs: [],
  resources: DEFAULT_RESOURCES,
  timeoutMs: 0,
  networkProfile: 'none' as const,
}

/** A job with one attempt at the host, as far as receipts look at it. */
function attemptOf(command: string[]) {
  const row = {
    index: 0,
    key: 'key',
    phase: 'running',
    epoch: 0,
    dispatches: 0,
    failures: 0,
  } as const
  const task = new Task(row, {
    job: 'job',
    item: 'item',
    overrides: { command },
    clock: systemClock,
  })
  const attempt = task.nextAttempt(host.peerId)
  const job = {
    id: 'job',
    document: { base },
    sent: (fingerprint: string) => (fingerprint === task.fingerprint ? task : undefined),
  }
  return { job: job as unknown as JobRun, attempt, spec: { ...base, command } }
}

function ended({ attempt, spec }: ReturnType<typeof attemptOf>, exitCode = 0): AttemptEvent {
  const end: AttemptEnd = {
    exitCode,
    oom: false,
    timedOut: false,
    durationMs: 1,
    usage: NO_USAGE,
    stdoutTail: new Uint8Array(),
    stderrTail: new Uint8Array(),
  }
  const subject = {
    client: client.peerId,
    host: host.peerId,
    job: 'job',
    task: 'key',
    attempt: attempt.id,
    nonce: keys.nonce('job', host.peerId, attempt.id),
    spec,
  }
  const receipt = receiptOf(subject, 'completed', end, base.image)
  return {
    attempt: attempt.id,
    seq: 1,
    phase: 'completed',
    end: { ...end, receipt: signReceipt(receipt, receiptKey(host.seed)) },
  }
}

/** As {@link ended}, with a proof beside that of a neighbour. */
function proven(made: ReturnType<typeof attemptOf>, exitCode: number): AttemptEvent {
  const event = ended(made, exitCode)
  const { signature: _, ...receipt } = event.end!.receipt!
  const neighbour = { ...receipt, task: `${Math.random()}` }
  const [, proof] = signReceipts([neighbour, receipt], receiptKey(host.seed))
  return { ...event, end: { ...event.end!, receipt: undefined, proof } }
}

it('lets an end with its receipt pass, as often as it is told', () => {
  const receipts = new AttemptReceipts(keys)
  const made = attemptOf(['run', '1'])
  const event = ended(made)
  expect(receipts.checked(host.peerId, made.job, event)).toBe(event)
  expect(receipts.checked(host.peerId, made.job, structuredClone(event))).toEqual(event)
})

it('takes no second word for an end, neither another good one nor what follows a bad one', () => {
  const receipts = new AttemptReceipts(keys)
  const made = attemptOf(['run', '1'])
  expect(receipts.checked(host.peerId, made.job, ended(made)).phase).toBe('completed')
  const second = receipts.checked(host.peerId, made.job, ended(made, 3))
  expect(second).toMatchObject({ phase: 'failed', end: { error: { code: 'RECEIPT_INVALID' } } })
  const again = receipts.checked(host.peerId, made.job, ended(made))
  expect(again.phase).toBe('failed')
})

it('does not take the repeated receipt of a good end for another end', () => {
  const receipts = new AttemptReceipts(keys)
  const made = attemptOf(['run', '1'])
  const event = ended(made)
  receipts.checked(host.peerId, made.job, event)
  const other = { ...event, end: { ...event.end!, exitCode: 3 } }
  expect(receipts.checked(host.peerId, made.job, other).phase).toBe('failed')
})

it('wants the command of the very task', () => {
  const receipts = new AttemptReceipts(keys)
  const made = attemptOf(['run', '1'])
  const event = ended({ ...made, spec: { ...made.spec, command: ['run', '2'] } })
  const checked = receipts.checked(host.peerId, made.job, event)
  expect(checked.end?.error?.details).toMatchObject({ field: 'spec' })
  expect(checked.end?.receipt).toBeUndefined()
})

it('makes a receipt of a proof, as often as it is told, and takes no second word', () => {
  const receipts = new AttemptReceipts(keys)
  const made = attemptOf(['run', '1'])
  const [event, again, another] = [0, 0, 3].map((code) => proven(made, code))
  const checked = receipts.checked(host.peerId, made.job, event!)
  expect(checked).toMatchObject({ phase: 'completed', end: { proof: undefined } })
  expect(verifyReceipt(checked.end?.receipt)).toMatchObject({ task: 'key', exitCode: 0 })
  // Signed once more, in another batch: it is the same end.
  expect(receipts.checked(host.peerId, made.job, again!).phase).toBe('completed')
  expect(receipts.checked(host.peerId, made.job, another!).phase).toBe('failed')
  expect(receipts.checked(host.peerId, made.job, event!).phase).toBe('failed')
})

it('does not take the proof of a good end for another end', () => {
  const receipts = new AttemptReceipts(keys)
  const made = attemptOf(['run', '1'])
  const event = proven(made, 0)
  const other = { ...event, end: { ...event.end!, exitCode: 3 } }
  const checked = receipts.checked(host.peerId, made.job, other)
  expect(checked).toMatchObject({ phase: 'failed', end: { error: { code: 'RECEIPT_INVALID' } } })
  expect(checked.end?.proof).toBeUndefined()
})

it('leaves alone what nobody waits for', () => {
  const receipts = new AttemptReceipts(keys)
  const made = attemptOf(['run', '1'])
  const event = { ...ended(made), end: { ...ended(made).end!, receipt: undefined } }
  expect(receipts.checked(host.peerId, undefined, event)).toBe(event)
  expect(receipts.checked(client.peerId, made.job, event)).toBe(event)
  made.attempt.canceled = true
  expect(receipts.checked(host.peerId, made.job, event)).toBe(event)
})

it('asks every job, host and attempt for another number, and the same one after a restart', () => {
  const numbers = [
    keys.nonce('job', 'a', 'x.1'),
    keys.nonce('job', 'b', 'x.1'),
    keys.nonce('job', 'a', 'x.2'),
    keys.nonce('other', 'a', 'x.1'),
    keysOf(host).nonce('job', 'a', 'x.1'),
  ]
  expect(new Set(numbers).size).toBe(numbers.length)
  expect(keysOf(client).nonce('job', 'a', 'x.1')).toBe(numbers[0])
})

it('knows by its number who has offered an attempt of a job that changed hands', async () => {
  const its = keysOf(client)
  await its.change('job', { epoch: 2, owners: [[0, host.peerId]] })
  const other = createIdentity().peerId
  await its.learn('job', 1_000_007, other)
  await its.learn('job', 1_000_008, host.peerId)
  expect([3, 1_000_001, 2_000_001].map((epoch) => its.clientOf('job', epoch))).toEqual([
    host.peerId,
    other,
    client.peerId,
  ])
})
