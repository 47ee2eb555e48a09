import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atExit } from './at-exit.ts'

/** A directory of one run; gone with the object, and when the run is interrupted. */
export interface Scratch extends AsyncDisposable {
  path: string
}

export async function makeScratch(): Promise<Scratch> {
  const path = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
  // Children that are ending may still write.
  const remove = () => rmSync(path, { recursive: true, force: true, maxRetries: 5 })
  const exit = atExit(remove)
  return {
    path,
    async [Symbol.asyncDispose]() {
      exit.cancel()
      remove()
    },
  }
}
