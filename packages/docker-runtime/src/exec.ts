import { BoundedOutput, LIMITS, ManyhandsError, type RuntimeExec } from '@manyhands/core'
import type Docker from 'dockerode'
import type { Engine } from './engine.ts'
import { engineError } from './engine-error.ts'
import { OutputDemultiplexer } from './output-demultiplexer.ts'

/**
 * Runs a program beside the task, as the task's own user. An abort stops waiting for it; the program
 * itself ends with the container, because the engine has no way to end it alone.
 */
export async function execIn(
  engine: Engine,
  container: Docker.Container,
  argv: string[],
  options: { signal?: AbortSignal },
): Promise<RuntimeExec> {
  options.signal?.throwIfAborted()
  const what = `exec in container ${container.id.slice(0, 12)}`
  try {
    const exec = await container.exec({
      Cmd: [...argv],
      AttachStdin: false,
      AttachStdout: true,
      AttachStderr: true,
      Tty: false,
      Privileged: false,
      abortSignal: engine.deadline(),
    })
    const stream = await exec.start({ Detach: false, Tty: false })
    const output = await collect(stream, options.signal)
    const ended = await exec.inspect({ abortSignal: engine.deadline() })
    if (ended.ExitCode === null) {
      throw new ManyhandsError('RUNTIME_FAILED', `${what}: the connection ended before the program`)
    }
    return { exitCode: ended.ExitCode, ...output }
  } catch (error) {
    options.signal?.throwIfAborted()
    throw engineError(error, what)
  }
}

async function collect(
  stream: NodeJS.ReadableStream,
  signal: AbortSignal | undefined,
): Promise<{ stdout: Uint8Array; stderr: Uint8Array }> {
  const output = new BoundedOutput(LIMITS.logBytes)
  const demultiplexer = new OutputDemultiplexer((name, bytes) => output.push(name, bytes))
  const ended = Promise.withResolvers<void>()
  const abort = () => {
    ;(stream as { destroy?: () => void }).destroy?.()
    ended.reject(signal?.reason)
  }
  stream.on('data', (bytes: Buffer) => demultiplexer.push(bytes))
  for (const end of ['end', 'close']) stream.on(end, () => ended.resolve())
  stream.on('error', ended.reject)
  signal?.addEventListener('abort', abort, { once: true })
  try {
    await ended.promise
  } finally {
    signal?.removeEventListener('abort', abort)
    output.close()
  }
  const parts = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
  for await (const chunk of output.read()) parts[chunk.stream].push(chunk.bytes)
  return { stdout: Buffer.concat(parts.stdout), stderr: Buffer.concat(parts.stderr) }
}
