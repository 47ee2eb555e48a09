import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants, setPriority } from 'node:os'
import type { AttackKind } from './attack.ts'

const PROGRAM = new URL('./attack.ts', import.meta.url).pathname

/** An attack in a process of its own, that has begun. Less urgent than others: it is not its CPU that is looked at. */
export async function startAttack(kind: AttackKind, address: string): Promise<AsyncDisposable> {
  const args = ['--conditions=@manyhands/source', PROGRAM, kind, address]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  setPriority(child.pid!, constants.priority.PRIORITY_LOW)
  const gone = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), gone])
  return {
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await gone
    },
  }
}
