import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { kill } from 'node:process'
import { processStart } from './process-facts.ts'

/** The directory of one machine, below the runtime's own. Its disks have no names once they are open. */
export class MachineRoom {
  readonly directory: string

  private constructor(directory: string) {
    this.directory = directory
  }

  static async create(parent: string, attemptId: string): Promise<MachineRoom> {
    const name = createHash('sha256').update(attemptId).digest('hex').slice(0, 32)
    const directory = join(parent, name)
    await mkdir(parent, { recursive: true, mode: 0o700 })
    await mkdir(directory, { mode: 0o700 })
    return new MachineRoom(directory)
  }

  /** Opens a disk and takes its name away: it vanishes with the last process that has it open. */
  async openDisk(name: string, flags: 'r' | 'r+') {
    const path = join(this.directory, name)
    const file = await open(path, flags)
    await rm(path)
    return file
  }

  /** Records which process runs here, in case that nobody is left to end it. */
  async record(pid: number): Promise<void> {
    const text = JSON.stringify({ pid, start: processStart(pid) })
    await writeFile(join(this.directory, 'process.json'), text)
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true })
  }
}

/**
 * Ends and removes what an earlier process of this host left. Machines end with their parent; this is for
 * the one that started in the moment of its death.
 */
export async function clearRooms(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const directory = join(parent, name)
    const text = await readFile(join(directory, 'process.json'), 'utf8').catch(() => '{}')
    const { pid, start } = parseRecord(text)
    // The same id with another start is somebody else's process.
    if (pid !== undefined && start !== undefined && processStart(pid) === start) {
      try {
        kill(pid, 'SIGKILL')
      } catch {
        // Gone meanwhile.
      }
    }
    await rm(directory, { recursive: true, force: true })
  }
}

function parseRecord(text: string): { pid?: number; start?: string } {
  try {
    const { pid, start } = JSON.parse(text)
    return Number.isSafeInteger(pid) && pid > 1 && typeof start === 'string' ? { pid, start } : {}
  } catch {
    return {}
  }
}
