import { randomUUID } from 'node:crypto'
import { readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const path = (stateDir: string) => join(stateDir, 'generation')

/** Says that this process is the host now: reapers of earlier ones see it and end. */
export async function takeOver(stateDir: string): Promise<string> {
  const generation = randomUUID()
  const temporary = `${path(stateDir)}.${generation}`
  await writeFile(temporary, generation, { mode: 0o600 })
  await rename(temporary, path(stateDir))
  return generation
}

/** Whether another process than that of `generation` is the host. A state that is gone has no host. */
export async function wasTakenOver(stateDir: string, generation: string): Promise<boolean> {
  const found = await readFile(path(stateDir), 'utf8').catch(() => generation)
  return found !== generation
}

/** Whether the host's state is still there. */
export async function hasState(stateDir: string): Promise<boolean> {
  return stat(stateDir).then(
    () => true,
    () => false,
  )
}
