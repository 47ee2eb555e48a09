import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { atExit } from './at-exit.ts'

/** What can be asked of a process of its own, by name. */
export type Calls = Record<string, { params: unknown; result: unknown }>

/** The message of one call. Answered with `{ id, result }` or `{ id, error }`; the first answer has id 0. */
export interface Call {
  id: number
  name: string
  params: unknown
}

/** A process that answers calls over IPC; it ends with the object, and with its parent. */
export interface Callee<Known extends Calls, Hello> extends AsyncDisposable {
  /** What it said when it was ready. */
  hello: Hello
  child: ChildProcess
  ask<Name extends keyof Known & string>(
    name: Name,
    params: Known[Name]['params'],
  ): Promise<Known[Name]['result']>
}

export interface CalleeOptions {
  script: string
  argument?: unknown
  /** The command that runs a program where this one is to be, as `nsenter --net=FILE`. */
  inside?: string[]
}

interface Waiting {
  resolve: (result: unknown) => void
  reject: (error: Error) => void
}

export async function startCallee<Known extends Calls, Hello>(
  options: CalleeOptions,
): Promise<Callee<Known, Hello>> {
  const [execPath, ...before] = [...(options.inside ?? []), process.execPath]
  const child = fork(options.script, [JSON.stringify(options.argument ?? {})], {
    execPath,
    execArgv: [...before, ...process.execArgv],
  })
  const gone = once(child, 'exit')
  // One that goes on for a moment would write into directories that are being removed.
  const exit = atExit(() => child.kill('SIGKILL'))
  child.once('exit', () => exit.cancel())
  const waiting = new Map<number, Waiting>()
  child.on('message', ({ id, result, error }: { id: number; result: unknown; error?: string }) => {
    const { resolve, reject } = waiting.get(id)!
    waiting.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(error))
  })
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values()) {
      reject(new Error(`${options.script} ended with ${code ?? signal}`))
    }
  })
  const answerTo = (id: number) =>
    new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }))
  const hello = (await answerTo(0)) as Hello
  let lastId = 0
  return {
    hello,
    child,
    ask(name, params) {
      lastId += 1
      const answer = answerTo(lastId)
      child.send({ id: lastId, name, params } satisfies Call)
      return answer as Promise<never>
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill()
      await gone
    },
  }
}
