import { createCipheriv, randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ManyhandsError } from '@manyhands/core'
import { onTestFinished } from 'vitest'

/** A directory that goes away with the test. */
export async function scratch(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-artifacts-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

export type Tree = Record<string, string | Uint8Array>

export async function writeTree(dir: string, tree: Tree): Promise<string> {
  await mkdir(dir, { recursive: true })
  for (const [path, content] of Object.entries(tree)) {
    const target = join(dir, path)
    await mkdir(dirname(target), { recursive: true })
    await writeFile(target, content)
    if (path.endsWith('.sh')) await chmod(target, 0o755)
  }
  return dir
}

/** All files below a directory, sorted. */
export async function listFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort()
}

export const MIB = 1024 * 1024
export const bytesOf = (length: number): Buffer => randomBytes(length)

/** Bytes as good as random that are the same in every run. */
export function seededBytes(length: number, seed: number): Buffer {
  const key = Buffer.alloc(16, seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** The code that a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof ManyhandsError) return error.code
    throw error
  }
  return 'resolved'
}
