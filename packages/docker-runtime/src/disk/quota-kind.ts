import { mkdtemp, readFile, readlink, rm } from 'node:fs/promises'
import { platform } from 'node:os'
import { dirname, join } from 'node:path'
import { getuid } from 'node:process'
import type { Engine } from '../engine.ts'
import { makeImage, mountImage, unmount } from './loop-volume.ts'

/** What an owner chooses; `'auto'` is what the decision record on disk quotas says. */
export type QuotaChoice = 'auto' | 'loop' | 'poll'
/** What is in force. */
export type QuotaKind = 'loop' | 'poll'

const PROBE_BYTES = 1024 ** 2

/**
 * Why attempts cannot have volumes of their own here; undefined when they can, which was tried. Costs
 * about as much as starting one attempt: ask once.
 */
export async function loopObstacle(engine: Engine, stateDir: string): Promise<string | undefined> {
  if (platform() !== 'linux') return 'only Linux has loop devices'
  if (getuid?.() !== 0) return 'the host does not run as root'
  if (!engine.local) return 'the engine is on another computer'
  const elsewhere = await otherMounts(engine)
  if (elsewhere !== undefined) return elsewhere
  const probe = await mkdtemp(join(stateDir, 'quota-probe-'))
  const image = `${probe}.img`
  try {
    await makeImage(image, PROBE_BYTES)
    await mountImage(image, probe)
    return undefined
  } catch (error) {
    return (error as Error).message
  } finally {
    await unmount(probe).catch(() => {})
    await rm(image, { force: true })
    await rm(probe, { recursive: true, force: true })
  }
}

/** An engine that does not see our mounts would let a task write to the disk below them. */
async function otherMounts({ where }: Engine): Promise<string | undefined> {
  const unknown = `nothing tells whether the engine sees this process's mounts`
  const pid = Number(await readFile(join(dirname(where), 'docker.pid'), 'utf8').catch(() => ''))
  if (!Number.isInteger(pid) || pid <= 0) return unknown
  const [ours, theirs] = await Promise.all(
    ['self', pid].map((of) => readlink(`/proc/${of}/ns/mnt`).catch(() => undefined)),
  )
  if (ours === undefined || theirs === undefined) return unknown
  return ours === theirs ? undefined : 'the engine does not see the mounts of this process'
}
