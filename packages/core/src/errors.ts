import { type Blame, ERRORS, type ErrorCode } from './error-table.ts'

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
