import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { onTestFinished } from 'vitest'

const mount = (...args: string[]) => execFileSync('mount', args, { stdio: 'pipe' })

/** A file system of its own that has so much room, and no more. */
export interface SmallDisk {
  dir: string
  resize(bytes: number): void
}

function make(bytes: number): SmallDisk & { remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'manyhands-disk-'))
  try {
    mount('-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', dir)
  } catch (cause) {
    rmSync(dir, { recursive: true })
    throw cause
  }
  return {
    dir,
    resize: (size) => mount('-o', `remount,size=${size}`, dir),
    remove: () => {
      execFileSync('umount', ['-l', dir])
      rmSync(dir, { recursive: true })
    },
  }
}

/** Goes away with the test. */
export function smallDisk(bytes: number): SmallDisk {
  const disk = make(bytes)
  onTestFinished(() => disk.remove())
  return disk
}

/** Why there can be none. For root on CI that is a failure; elsewhere the reason is printed. */
export function smallDiskObstacle(): string | undefined {
  try {
    make(1024 ** 2).remove()
    return undefined
  } catch (cause) {
    if (process.env['CI'] && process.getuid?.() === 0) throw cause
    const reason = (cause as Error).message.trim().replaceAll('\n', ' ')
    process.stderr.write(`tests with a full disk skipped: ${reason}\n`)
    return reason
  }
}
