import { request as httpRequest, type IncomingMessage } from 'node:http'
import { ManyhandsError } from '@manyhands/core'
import { CONTROL_LIMITS } from './control-limits.ts'

export interface ControlEndpoint {
  url: string
  token: string
}

/**
 * One request, its answer's text. Over node:http and not fetch: a drain may take an hour to answer,
 * and fetch gives up after five minutes without headers.
 */
export async function request(
  endpoint: ControlEndpoint,
  method: 'GET' | 'POST' | 'PUT',
  path: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<string> {
  return await readText(await send(endpoint, method, path, 'application/json', body, signal))
}

/** The documents of a streaming answer, one per line. */
export async function* requestLines<Line>(
  endpoint: ControlEndpoint,
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<Line> {
  const answer = await send(endpoint, 'GET', path, 'application/x-ndjson', undefined, signal)
  try {
    let rest = ''
    answer.setEncoding('utf8')
    for await (const chunk of answer as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()!
      if (rest.length > CONTROL_LIMITS.lineBytes) throw tooLarge(endpoint)
      for (const line of lines) if (line !== '') yield JSON.parse(line) as Line
    }
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason
    if (error instanceof ManyhandsError) throw error
    throw new ManyhandsError('PEER_GONE', `the host at ${endpoint.url} closed the stream`, {
      hint: 'See whether the host still runs.',
      cause: error,
    })
  }
}

async function send(
  endpoint: ControlEndpoint,
  method: string,
  path: string,
  accept: string,
  body: unknown,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  signal?.throwIfAborted()
  const text = body === undefined ? undefined : JSON.stringify(body)
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = httpRequest(new URL(path, endpoint.url), {
      method,
      signal,
      agent: false,
      headers: {
        accept,
        authorization: `Bearer ${endpoint.token}`,
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      },
    })
    outgoing.once('response', resolve)
    outgoing.once('error', (error) => reject(signal?.aborted ? signal.reason : failure(error)))
    outgoing.end(text)
  })
  if (answer.statusCode === 200) return answer
  throw toError(answer.statusCode, await readText(answer))

  function failure(error: NodeJS.ErrnoException) {
    const nobody = error.code === 'ECONNREFUSED'
    return new ManyhandsError(
      nobody ? 'CONNECT_FAILED' : 'PEER_GONE',
      nobody
        ? `no host listens at ${endpoint.url}`
        : `the host at ${endpoint.url} did not answer: ${error.message}`,
      { hint: 'Start one with `manyhands host`, or name its --state directory.', cause: error },
    )
  }
}

async function readText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > CONTROL_LIMITS.answerBytes) {
        throw new ManyhandsError('FRAME_TOO_LARGE', 'the answer of the host is too large')
      }
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof ManyhandsError) throw error
    throw new ManyhandsError('PEER_GONE', 'the host closed the connection while it answered', {
      hint: 'See whether the host still runs.',
      cause: error,
    })
  }
  return Buffer.concat(chunks).toString('utf8')
}

function toError(status: number | undefined, text: string): ManyhandsError {
  let document: { error?: { code?: unknown; message?: unknown } } | null
  try {
    document = JSON.parse(text)
  } catch {
    document = null
  }
  const error = document?.error
  if (typeof error?.code === 'string' && typeof error.message === 'string') {
    return ManyhandsError.fromJSON(error as { code: string; message: string })
  }
  return new ManyhandsError('PROTOCOL', `the control API answered ${status} without an error`, {
    hint: 'Something else listens there; restart the host.',
  })
}

function tooLarge(endpoint: ControlEndpoint) {
  return new ManyhandsError('FRAME_TOO_LARGE', `a line from ${endpoint.url} is too long`)
}
