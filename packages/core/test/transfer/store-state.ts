import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '@manyhands/core'
import { expect } from 'vitest'
import {
  chunkCount,
  chunkHash,
  chunkLength,
  chunkOffset,
} from '../../src/artifacts/chunk-layout.ts'
import { ChunkRecord } from '../../src/artifacts/chunk-record.ts'
import { fileId } from '../../src/artifacts/manifest.ts'
import { sha256Now } from '../../src/artifacts/sha256.ts'
import { listFiles } from '../artifacts/scratch.ts'

/**
 * Looks at the disk of a store for what it must not have: a file under its final name that is not whole,
 * a temporary one. Returns how many bytes of the artifact are there, verified.
 *
 * @param contents - bytes of the artifact's files, in the manifest's order
 */
export async function verifiedBytes(
  dir: string,
  manifest: Manifest,
  contents: Uint8Array[],
): Promise<number> {
  const byId = new Map(manifest.files.map((file, index) => [fileId(file), { file, index }]))
  let verified = 0
  for (const path of await listFiles(join(dir, 'cas'))) {
    const { index } = byId.get(path.split('/').at(-1)!)!
    const bytes = await readFile(join(dir, 'cas', path))
    expect(Buffer.compare(bytes, contents[index]!), `${path} is not whole`).toBe(0)
    verified += bytes.length
  }
  const names = await readdir(join(dir, 'part'))
  expect(names.filter((name) => !/^[0-9a-f]{64}\.(part|have)$/.test(name))).toEqual([])
  if (verified === totalOf(contents)) expect(names).toEqual([])
  for (const name of names.filter((each) => each.endsWith('.have'))) {
    const { file } = byId.get(name.slice(0, 64))!
    const part = await readFile(join(dir, 'part', name.replace('have', 'part')))
    const record = new ChunkRecord(join(dir, 'part', name))
    for (const chunk of (await record.read(chunkCount(file)))!) {
      const [offset, length] = [chunkOffset(file, chunk), chunkLength(file, chunk)]
      const hash = sha256Now(part.subarray(offset, offset + length))
      expect(Buffer.compare(hash, chunkHash(file, chunk)), `chunk ${chunk} was not verified`).toBe(
        0,
      )
      verified += length
    }
  }
  return verified
}

function totalOf(contents: Uint8Array[]): number {
  return contents.reduce((total, { length }) => total + length, 0)
}

/** What this process has open: files, sockets, pipes; and of those the ports that it listens on. */
export async function openHandles(): Promise<{ open: number; listening: number }> {
  const listening = new Set<string>()
  for (const table of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    for (const line of (await readFile(table, 'utf8')).split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      if (fields[3] === '0A') listening.add(`socket:[${fields[9]}]`)
    }
  }
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) =>
      // The directory that is being read has one itself, which is gone by now.
      readlink(`/proc/self/fd/${fd}`).catch(() => undefined),
    ),
  )
  const open = links.filter((link) => link !== undefined)
  return { open: open.length, listening: open.filter((link) => listening.has(link)).length }
}
