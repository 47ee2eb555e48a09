import type { JobSpec } from '@manyhands/core'
import { type Callee, startCallee } from './calls.ts'

const SCRIPT = new URL('./client-process.ts', import.meta.url).pathname

export interface ClientProcessOptions {
  bootstrap: string[]
  state: string
  /** The socket of an engine whose images its jobs may name. */
  engine?: string
  /** The command that runs a program where this client is to be, as `nsenter --net=FILE`. */
  inside?: string[]
}

export type ClientProcessCalls = {
  /** Runs a job to its end; `runningMs` from the submission to the first attempt that runs. */
  run: { params: { spec: JobSpec }; result: { runningMs: number; bytesUp: number } }
}

export type ClientProcess = Callee<ClientProcessCalls, { openMs: number }>

export function startClientProcess({
  inside,
  ...argument
}: ClientProcessOptions): Promise<ClientProcess> {
  return startCallee({ script: SCRIPT, argument, inside })
}
