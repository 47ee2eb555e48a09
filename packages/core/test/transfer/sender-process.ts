import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const PROGRAM = fileURLToPath(new URL('./sender-program.ts', import.meta.url))

/** A peer that can be killed. */
export interface SenderProcess {
  address: string
  root: string
  pid: number
  /** SIGKILL: it has no time to say anything. */
  kill(): Promise<void>
}

/** @param dir - where its state goes */
export async function senderProcess(dir: string, tree: string): Promise<SenderProcess> {
  const state = await mkdtemp(join(dir, 'process-'))
  const argv = ['--conditions=@manyhands/source', PROGRAM, state, tree]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await exited
  }
  onTestFinished(kill)
  const [line] = await once(createInterface(child.stdout), 'line')
  return { ...JSON.parse(line as string), pid: child.pid!, kill }
}
