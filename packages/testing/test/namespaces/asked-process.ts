import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { ManyhandsError } from '@manyhands/core'
import type { Namespace } from './namespace.ts'

/** What a program answers: what is asked and what comes, by name. */
export type Questions<Asked> = { [Name in keyof Asked]: [asked: object, answer: unknown] }

/**
 * A program of this folder that runs in a namespace and is asked from here: a line of JSON for each question
 * and for each answer; lines with `told` are its own words.
 */
export class AskedProcess<Asked extends Questions<Asked>>
  extends EventTarget
  implements AsyncDisposable
{
  readonly child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #asked = 0

  private constructor(child: ChildProcess) {
    super()
    this.child = child
  }

  /** @param at - where; undefined: on this computer as it is */
  static async start<Asked extends Questions<Asked>, Ready>(
    at: Namespace,
    program: string,
    options: object,
  ): Promise<{ process: AskedProcess<Asked>; ready: Ready }> {
    const script = new URL(program, import.meta.url)
    const child = at.node(script, [JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] })
    const process = new AskedProcess<Asked>(child)
    const ready = Promise.withResolvers<Ready>()
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const said = JSON.parse(line)
      if (said.ready !== undefined) ready.resolve(said.ready)
      else if (said.told !== undefined)
        process.dispatchEvent(new CustomEvent('told', { detail: said.told }))
      else process.#answered(said)
    })
    child.once('exit', (code, signal) => {
      const error = new Error(`${program} in ${at.label} ended (${code ?? signal})`)
      ready.reject(error)
      for (const { reject } of process.#waiting.values()) reject(error)
    })
    return { process, ready: await ready.promise }
  }

  ask<Name extends keyof Asked & string>(
    name: Name,
    asked: Asked[Name][0],
  ): Promise<Asked[Name][1]> {
    this.#asked += 1
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(this.#asked, waiting)
    this.child.stdin!.write(`${JSON.stringify({ id: this.#asked, do: name, asked })}\n`)
    return waiting.promise as Promise<Asked[Name][1]>
  }

  /** Hears what it tells of itself, until the answer is called. */
  onTold<Told>(listener: (told: Told) => void): () => void {
    const heard = (event: Event) => listener((event as CustomEvent<Told>).detail)
    this.addEventListener('told', heard)
    return () => this.removeEventListener('told', heard)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'exit')
    this.child.stdin!.end()
    await ended
  }

  #answered({ id, result, error }: { id: number; result?: unknown; error?: never }): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(ManyhandsError.fromJSON(error))
  }
}
