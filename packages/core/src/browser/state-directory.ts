import { mkdtemp, rm } from 'node:fs/promises'
import type { StateDirectory } from '../durable/state-directory.ts'
import { ManyhandsError } from '../errors.ts'
import { randomBytes } from './node-crypto.ts'
import { loadSql } from './sql-module.ts'

/** Stands for durable/state-directory.ts in a browser: a page keeps everything in its memory. */
export async function openStateDirectory(path: string | undefined): Promise<StateDirectory> {
  if (path !== undefined) {
    throw new ManyhandsError('CONFIG_INVALID', 'a client in a browser has no state directory', {
      hint: 'Leave `state` out: what the page computes lives as long as the page; take results with outputs.read().',
    })
  }
  await loadSql()
  const dir = await mkdtemp('/tmp/manyhands-')
  return {
    dir,
    persistent: false,
    identitySeed: randomBytes(32),
    close: () => rm(dir, { recursive: true, force: true }),
  }
}
