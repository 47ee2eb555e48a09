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

const row = (
  blame: Blame,
  retryable: boolean,
  exit: ErrorRow['exit'],
  status: number,
  hint: string,
): ErrorRow => ({ blame, retryable, exit, status, hint })

export const ERRORS = {
  // What the caller wrote
  SPEC_INVALID: row('caller', false, EXIT.usage, 400, 'Correct the named field of the job spec.'),
  USAGE: row('caller', false, EXIT.usage, 400, 'See `manyhands --help`.'),
  CONFIG_INVALID: row('caller', false, EXIT.config, 400, 'Correct the named setting.'),
  UNAUTHORIZED: row(
    'caller',
    false,
    EXIT.config,
    401,
    'Send the token of control.json as a bearer token.',
  ),
  RANGE_INVALID: row('caller', false, EXIT.usage, 400, 'Write ranges as 1-250,300 or 1-9x2.'),
  ADDRESS_INVALID: row(
    'caller',
    false,
    EXIT.usage,
    400,
    'Write addresses as /ip4/1.2.3.4/tcp/4001/p2p/PEER.',
  ),
  INPUT_UNREADABLE: row(
    'caller',
    false,
    EXIT.usage,
    400,
    'Check that the path exists and can be read.',
  ),
  INPUT_CHANGED: row(
    'caller',
    false,
    EXIT.jobFailed,
    409,
    'Do not change inputs while a job runs; submit again.',
  ),
  JOB_CONFLICT: row(
    'caller',
    false,
    EXIT.usage,
    409,
    'Choose another key, or submit the same spec.',
  ),
  NOT_FOUND: row('caller', false, EXIT.usage, 404, 'Check the id; list what exists first.'),
  STATE_LOCKED: row(
    'caller',
    true,
    EXIT.config,
    423,
    'Stop the other process, or name another state directory.',
  ),
  STATE_CORRUPT: row(
    'internal',
    false,
    EXIT.config,
    500,
    'Move the state directory away and start again.',
  ),
  IMAGE_INVALID: row(
    'caller',
    false,
    EXIT.jobFailed,
    400,
    'Give an image of the kind that the runtime runs.',
  ),
  COMMAND_INVALID: row(
    'caller',
    false,
    EXIT.jobFailed,
    400,
    'Check that the program exists in the image and is executable.',
  ),
  OUTPUT_MISSING: row(
    'task',
    false,
    EXIT.jobFailed,
    422,
    'Make the task write every declared output below /out.',
  ),
  OUTPUT_UNSAFE: row(
    'task',
    false,
    EXIT.jobFailed,
    422,
    'Write plain files and directories below /out: no links, no special files.',
  ),
  PATH_UNSAFE: row(
    'caller',
    false,
    EXIT.usage,
    400,
    'Use relative POSIX paths without .., links or case collisions.',
  ),
  // What the task did
  TASK_FAILED: row(
    'task',
    true,
    EXIT.jobFailed,
    422,
    'Read stderrTail; run the command in the image by hand.',
  ),
  TASK_OOM: row('task', true, EXIT.jobFailed, 422, 'Ask for more resources.memory.'),
  TASK_TIMEOUT: row('task', true, EXIT.timeout, 422, 'Raise timeout, or cut the task smaller.'),
  TASK_DISK: row('task', true, EXIT.jobFailed, 422, 'Ask for more resources.disk.'),
  TASK_POISON: row(
    'task',
    false,
    EXIT.jobFailed,
    422,
    'The task coincided with the death of several hosts; run it alone and look.',
  ),
  VALIDATION_FAILED: row(
    'host',
    true,
    EXIT.jobFailed,
    422,
    'The validate hook refused the result.',
  ),
  // What the host said or did
  HOST_BUSY: row(
    'host',
    true,
    EXIT.noHosts,
    429,
    'The task goes to another host or waits for a free slot.',
  ),
  HOST_REFUSED: row(
    'host',
    true,
    EXIT.noHosts,
    403,
    'Ask the host why with explain, or choose other hosts.',
  ),
  HOST_DRAINING: row(
    'host',
    true,
    EXIT.noHosts,
    503,
    'The host is going away; the task goes elsewhere.',
  ),
  TRANSFER_QUOTA: row(
    'host',
    true,
    EXIT.noHosts,
    429,
    'The owner gives so many bytes a day; use another host, or wait until some are free again.',
  ),
  HOST_FAILED: row(
    'host',
    true,
    EXIT.jobFailed,
    500,
    'The host could not do its part; the task goes elsewhere.',
  ),
  HOST_LOST: row('host', true, EXIT.jobFailed, 504, 'The host vanished; the task goes elsewhere.'),
  EVICTED: row(
    'host',
    true,
    EXIT.jobFailed,
    410,
    'The owner took the computer back; the task goes elsewhere.',
  ),
  IMAGE_NOT_FOUND: row(
    'host',
    true,
    EXIT.jobFailed,
    404,
    'Build or load the image on the host, or name one that it has.',
  ),
  RUNTIME_UNAVAILABLE: row(
    'host',
    true,
    EXIT.runtimeUnavailable,
    503,
    'Start the engine; `manyhands doctor` says how.',
  ),
  RUNTIME_FAILED: row(
    'host',
    true,
    EXIT.jobFailed,
    500,
    'The runtime could not start the sandbox; the task goes elsewhere.',
  ),
  UNSUPPORTED: row(
    'host',
    false,
    EXIT.usage,
    501,
    'The runtime cannot do this; see its capabilities.',
  ),
  DISPATCH_EXHAUSTED: row(
    'host',
    false,
    EXIT.jobFailed,
    503,
    'The task was sent out too often without an outcome; look at why.',
  ),
  NO_HOSTS: row(
    'network',
    true,
    EXIT.noHosts,
    503,
    'Start a host, name one with --bootstrap, or loosen the filters.',
  ),
  // What the network did
  CONNECT_FAILED: row(
    'network',
    true,
    EXIT.network,
    502,
    'Check the address, that the peer runs, and the firewall.',
  ),
  PEER_GONE: row(
    'network',
    true,
    EXIT.network,
    502,
    'The peer closed the connection; it is tried again.',
  ),
  PROTOCOL: row(
    'network',
    false,
    EXIT.network,
    400,
    'The peer speaks another version or sends garbage.',
  ),
  FRAME_TOO_LARGE: row(
    'network',
    false,
    EXIT.network,
    413,
    'The peer announced a frame beyond the limit.',
  ),
  LIMIT: row('network', true, EXIT.network, 429, 'A limit was reached; see docs/limits.md.'),
  TIMEOUT: row(
    'network',
    true,
    EXIT.timeout,
    504,
    'Nothing answered in time; try again or allow more.',
  ),
  ARTIFACT_MISSING: row(
    'network',
    true,
    EXIT.jobFailed,
    404,
    'The peer no longer has this artifact.',
  ),
  ARTIFACT_CORRUPT: row(
    'network',
    true,
    EXIT.jobFailed,
    502,
    'The bytes do not match their hash; they are asked for again.',
  ),
  DISK_FULL: row(
    'host',
    true,
    EXIT.config,
    507,
    'Free disk space; nothing that was promised is deleted.',
  ),
  // Ends of lives
  CANCELED: row('caller', false, EXIT.interrupted, 499, 'Submit again to run it.'),
  CLOSED: row('caller', false, EXIT.config, 410, 'This object was closed; create a new one.'),
  JOB_FAILED: row('task', false, EXIT.jobFailed, 422, 'Look at the failed tasks.'),
  INTERNAL: row(
    'internal',
    false,
    EXIT.jobFailed,
    500,
    'This is a defect; please report it with the message.',
  ),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

/** An error as data: what survives the wire, the journal and `--json`. */
export interface ErrorDocument {
  code: ErrorCode
  message: string
  hint: string
  blame: Blame
  details?: Record<string, unknown>
}

/**
 * The one error class. `message` says what happened and to what; `hint` says what to do next.
 *
 * @example
 * catch (error) { if (error instanceof ManyhandsError && error.retryable) … }
 */
export class ManyhandsError extends Error {
  override readonly name: string = 'ManyhandsError'
  readonly code: ErrorCode
  readonly hint: string
  readonly details: Record<string, unknown> | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; hint?: string; details?: Record<string, unknown> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint ?? ERRORS[code].hint
    this.details = options.details
  }

  get blame(): Blame {
    return ERRORS[this.code].blame
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable
  }

  get exitCode(): number {
    return ERRORS[this.code].exit
  }

  get status(): number {
    return ERRORS[this.code].status
  }

  toJSON(): ErrorDocument {
    return {
      code: this.code,
      message: this.message,
      hint: this.hint,
      blame: this.blame,
      ...(this.details === undefined ? {} : { details: this.details }),
    }
  }

  /** Rebuilds an error that a peer or a journal sent; an unknown code becomes `INTERNAL`, never a throw. */
  static fromJSON(document: { code: string; message: string; hint?: string; details?: unknown }) {
    const code: ErrorCode = Object.hasOwn(ERRORS, document.code)
      ? (document.code as ErrorCode)
      : 'INTERNAL'
    return new ManyhandsError(code, document.message, {
      hint: document.hint,
      details: document.details as Record<string, unknown> | undefined,
    })
  }
}

/** Turns anything thrown into a {@link ManyhandsError}; what is one already is returned as it is. */
export function toManyhandsError(
  thrown: unknown,
  fallback: ErrorCode = 'INTERNAL',
): ManyhandsError {
  if (thrown instanceof ManyhandsError) return thrown
  const code = (thrown as { code?: unknown } | null)?.code
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ManyhandsError('DISK_FULL', `no space left on the disk: ${message}`, {
      cause: thrown,
    })
  }
  return new ManyhandsError(fallback, message, { cause: thrown })
}
