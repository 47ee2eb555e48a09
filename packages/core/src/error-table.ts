/**
 * Every error that leaves this project has a code from {@link ERRORS}. The table is the single source
 * of whose fault it is, whether trying again can help, the command's exit code, the HTTP status and
 * the hint, so that no two places disagree.
 */

/** Whose fault an error is. It decides what the scheduler does next. */
export type Blame = 'caller' | 'host' | 'network' | 'task' | 'internal'

/** Exit codes of the `manyhands` command. */
export const EXIT = {
  ok: 0,
  jobFailed: 1,
  usage: 2,
  someTasksFailed: 3,
  noHosts: 4,
  network: 5,
  runtimeUnavailable: 6,
  config: 7,
  timeout: 124,
  interrupted: 130,
} as const

interface ErrorRow {
  readonly blame: Blame
  /** Whether the same request may succeed later or elsewhere without a change by the caller. */
  readonly retryable: boolean
  readonly exit: (typeof EXIT)[keyof typeof EXIT]
  readonly status: number
  readonly hint: string
}

/** A kind of error: whose fault it is, and whether the same request may succeed later or elsewhere. */
const kind =
  (blame: Blame, retryable: boolean) =>
  (exit: ErrorRow['exit'], status: number, hint: string): ErrorRow => ({
    blame,
    retryable,
    exit,
    status,
    hint,
  })

const caller = kind('caller', false)
const callerAgain = kind('caller', true)
const task = kind('task', true)
const taskFinal = kind('task', false)
const host = kind('host', true)
const hostFinal = kind('host', false)
const network = kind('network', true)
const networkFinal = kind('network', false)
const internal = kind('internal', false)

export const ERRORS = {
  // What the caller wrote
  SPEC_INVALID: caller(EXIT.usage, 400, 'Correct the named field of the job spec.'),
  USAGE: caller(EXIT.usage, 400, 'See `manyhands --help`.'),
  CONFIG_INVALID: caller(EXIT.config, 400, 'Correct the named setting.'),
  UNAUTHORIZED: caller(EXIT.config, 401, 'Send the token of control.json as a bearer token.'),
  RANGE_INVALID: caller(EXIT.usage, 400, 'Write ranges as 1-250,300 or 1-9x2.'),
  ADDRESS_INVALID: caller(EXIT.usage, 400, 'Write addresses as /ip4/1.2.3.4/tcp/4001/p2p/PEER.'),
  INPUT_UNREADABLE: caller(EXIT.usage, 400, 'Check that the path exists and can be read.'),
  INPUT_CHANGED: caller(
    EXIT.jobFailed,
    409,
    'Do not change inputs while a job runs; submit again.',
  ),
  JOB_CONFLICT: caller(EXIT.usage, 409, 'Choose another key, or submit the same spec.'),
  JOB_TAKEN: caller(EXIT.jobFailed, 409, 'Follow the job on the machine that continues it.'),
  HOOKS_MISSING: caller(
    EXIT.usage,
    409,
    'Give the named parts of the spec again: client.job(id, { … }), or submit the same key.',
  ),
  NOT_FOUND: caller(EXIT.usage, 404, 'Check the id; list what exists first.'),
  STATE_LOCKED: callerAgain(
    EXIT.config,
    423,
    'Stop the other process, or name another state directory.',
  ),
  STATE_CORRUPT: internal(EXIT.config, 500, 'Move the state directory away and start again.'),
  IMAGE_INVALID: caller(EXIT.jobFailed, 400, 'Give an image of the kind that the runtime runs.'),
  COMMAND_INVALID: caller(
    EXIT.jobFailed,
    400,
    'Check that the program exists in the image and is executable.',
  ),
  OUTPUT_MISSING: taskFinal(
    EXIT.jobFailed,
    422,
    'Make the task write every declared output below /out.',
  ),
  OUTPUT_UNSAFE: taskFinal(
    EXIT.jobFailed,
    422,
    'Write plain files and directories below /out: no links, no special files.',
  ),
  PATH_UNSAFE: caller(
    EXIT.usage,
    400,
    'Use relative POSIX paths without .., links or case collisions.',
  ),
  COMPARE_INVALID: caller(
    EXIT.jobFailed,
    422,
    'Make compare(a, b) return true or false, and the same as compare(b, a).',
  ),
  // What the task did
  TASK_FAILED: task(EXIT.jobFailed, 422, 'Read stderrTail; run the command in the image by hand.'),
  TASK_CONTINUES: task(
    EXIT.jobFailed,
    422,
    'Nothing to do: the task goes on from what it left, see checkpoint.continueCode.',
  ),
  SETUP_FAILED: task(EXIT.jobFailed, 422, 'Read stderrTail; run warm.setup in the image by hand.'),
  TASK_OOM: task(EXIT.jobFailed, 422, 'Ask for more resources.memory.'),
  TASK_TIMEOUT: task(EXIT.timeout, 422, 'Raise timeout, or cut the task smaller.'),
  TASK_DISK: task(EXIT.jobFailed, 422, 'Ask for more resources.disk.'),
  TASK_POISON: taskFinal(
    EXIT.jobFailed,
    422,
    'The task coincided with the death of several hosts; run it alone and look.',
  ),
  NEED_FAILED: taskFinal(
    EXIT.jobFailed,
    424,
    'Look at the task that it needs; job.retry({ failed: true }) runs both again.',
  ),
  RESULT_DISPUTED: taskFinal(
    EXIT.jobFailed,
    422,
    'No majority of hosts had the same result: look at their receipts, or compare with tolerances.',
  ),
  VALIDATION_FAILED: host(EXIT.jobFailed, 422, 'The validate hook refused the result.'),
  // What the host said or did
  RECEIPT_INVALID: host(
    EXIT.jobFailed,
    502,
    'The host did not sign for what it sent; the task goes elsewhere.',
  ),
  HOST_BUSY: host(EXIT.noHosts, 429, 'The task goes to another host or waits for a free slot.'),
  HOST_REFUSED: host(EXIT.noHosts, 403, 'Ask the host why with explain, or choose other hosts.'),
  HOST_DRAINING: host(EXIT.noHosts, 503, 'The host is going away; the task goes elsewhere.'),
  TRANSFER_QUOTA: host(
    EXIT.noHosts,
    429,
    'The owner gives so many bytes a day; use another host, or wait until some are free again.',
  ),
  HOST_FAILED: host(
    EXIT.jobFailed,
    500,
    'The host could not do its part; the task goes elsewhere.',
  ),
  HOST_LOST: host(EXIT.jobFailed, 504, 'The host vanished; the task goes elsewhere.'),
  EVICTED: host(EXIT.jobFailed, 410, 'The owner took the computer back; the task goes elsewhere.'),
  IMAGE_NOT_FOUND: host(
    EXIT.jobFailed,
    404,
    'Build or load the image on the host, or name one that it has.',
  ),
  RUNTIME_UNAVAILABLE: host(
    EXIT.runtimeUnavailable,
    503,
    'Start the engine; `manyhands doctor` says how.',
  ),
  RUNTIME_FAILED: host(
    EXIT.jobFailed,
    500,
    'The runtime could not start the sandbox; the task goes elsewhere.',
  ),
  UNSUPPORTED: hostFinal(EXIT.usage, 501, 'The runtime cannot do this; see its capabilities.'),
  DISPATCH_EXHAUSTED: hostFinal(
    EXIT.jobFailed,
    503,
    'The task was sent out too often without an outcome; look at why.',
  ),
  NO_HOSTS: network(
    EXIT.noHosts,
    503,
    'Start a host, name one with --bootstrap, or loosen the filters.',
  ),
  // What the network did
  CONNECT_FAILED: network(
    EXIT.network,
    502,
    'Check the address, that the peer runs, and the firewall.',
  ),
  INVITE_INVALID: networkFinal(
    EXIT.network,
    403,
    'Ask the owner of the network, or who invited you, for a new invite.',
  ),
  NOT_A_MEMBER: networkFinal(
    EXIT.network,
    403,
    'Join the network with an invite; who was revoked needs a new one.',
  ),
  ROLE_DENIED: networkFinal(
    EXIT.network,
    403,
    'Ask the owner of the network for an invite with the role that is needed.',
  ),
  PEER_GONE: network(EXIT.network, 502, 'The peer closed the connection; it is tried again.'),
  PROTOCOL: networkFinal(EXIT.network, 400, 'The peer speaks another version or sends garbage.'),
  RELAY_LIMITED: network(
    EXIT.network,
    403,
    'Let the peers reach each other directly, or have the relay allow artifacts: `relay: { bulk: true }`, `--relay-bulk`.',
  ),
  FRAME_TOO_LARGE: networkFinal(EXIT.network, 413, 'The peer announced a frame beyond the limit.'),
  LIMIT: network(EXIT.network, 429, 'A limit was reached; see docs/limits.md.'),
  TIMEOUT: network(EXIT.timeout, 504, 'Nothing answered in time; try again or allow more.'),
  ARTIFACT_MISSING: network(EXIT.jobFailed, 404, 'The peer no longer has this artifact.'),
  ARTIFACT_CORRUPT: network(
    EXIT.jobFailed,
    502,
    'The bytes do not match their hash; they are asked for again.',
  ),
  DISK_FULL: host(EXIT.config, 507, 'Free disk space; nothing that was promised is deleted.'),
  // Ends of lives
  CANCELED: caller(EXIT.interrupted, 499, 'Submit again to run it.'),
  CLOSED: caller(EXIT.config, 410, 'This object was closed; create a new one.'),
  JOB_FAILED: taskFinal(EXIT.jobFailed, 422, 'Look at the failed tasks.'),
  INTERNAL: internal(EXIT.jobFailed, 500, 'This is a defect; please report it with the message.'),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS
