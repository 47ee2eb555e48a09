import { type ErrorCode, ManyhandsError } from '@manyhands/core'

const MESSAGE_MAX = 1000

const UNREACHABLE: Record<string, string> = {
  ENOENT: 'there is no socket: install and start a Docker engine, or name its socket',
  EACCES:
    'this user may not open the socket: add the user to the group docker, or use a rootless engine',
  EPERM:
    'this user may not open the socket: add the user to the group docker, or use a rootless engine',
  ECONNREFUSED: 'nothing listens there: start the engine (systemctl start docker)',
  ECONNRESET: 'the engine closed the connection: look at its log',
  EPIPE: 'the engine closed the connection: look at its log',
  ENOTFOUND: 'the host name is unknown: correct the address',
  EHOSTUNREACH: 'the host cannot be reached: check the address and the network',
  ETIMEDOUT: 'the host does not answer: check the address and the network',
  ABORT_ERR: 'the engine does not answer in time: look at its log, restart it',
}

/** The engine's HTTP status, when it did answer. */
export function engineStatus(error: unknown): number | undefined {
  const answer = error as { statusCode?: number; json?: { cause?: unknown } | null } | null
  // Podman's word for what is a conflict with the container's state.
  if (answer?.json?.cause === 'container state improper') return 409
  return answer?.statusCode
}

/** Why no engine answers and what to do, in words; undefined when it did answer. */
export function unreachableReason(error: unknown): string | undefined {
  if (engineStatus(error) !== undefined) return undefined
  const { code, name, message } = error as { code?: unknown; name?: string; message?: string }
  if (typeof code === 'string' && code in UNREACHABLE) return UNREACHABLE[code]
  if (name === 'TimeoutError' || name === 'AbortError') return UNREACHABLE['ABORT_ERR']
  return `the connection failed: ${message}`
}

/** What the engine said, without the client library's decoration. */
export function engineMessage(error: unknown): string {
  const said = (error as { json?: { message?: unknown } | null } | null)?.json?.message
  const text = typeof said === 'string' ? said : error instanceof Error ? error.message : `${error}`
  // An engine may pass on all that its runtime's program printed.
  return text.trim().slice(0, MESSAGE_MAX)
}

/** An error of the engine as one of ours: unreachable is RUNTIME_UNAVAILABLE, an answer is `code`. */
export function engineError(
  error: unknown,
  what: string,
  code: ErrorCode = 'RUNTIME_FAILED',
): ManyhandsError {
  if (error instanceof ManyhandsError) return error
  const unreachable = unreachableReason(error)
  if (unreachable !== undefined) {
    return new ManyhandsError('RUNTIME_UNAVAILABLE', `${what}: ${unreachable}`, { cause: error })
  }
  const said = engineMessage(error)
  if (/could not select device driver|unresolvable CDI devices/i.test(said)) {
    return new ManyhandsError('RUNTIME_FAILED', `${what}: the engine cannot give GPUs: ${said}`, {
      cause: error,
      hint: 'Install nvidia-container-toolkit, run nvidia-ctk runtime configure --runtime=docker, restart the engine.',
    })
  }
  return new ManyhandsError(code, `${what}: ${said}`, { cause: error })
}
