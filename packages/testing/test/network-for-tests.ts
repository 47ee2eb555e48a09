import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { createLocalNetwork, type LocalNetwork, type LocalNetworkOptions } from '../src/index.ts'

/** A temporary directory for each test of a file, and a network that is closed with it. */
export function networkForTests(): {
  readonly dir: string
  network(options?: LocalNetworkOptions): Promise<LocalNetwork>
} {
  let dir: string
  let open: LocalNetwork | undefined
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  })
  afterEach(async () => {
    await open?.close()
    open = undefined
    await rm(dir, { recursive: true, force: true })
  })
  return {
    get dir() {
      return dir
    },
    network: async (options = {}) => {
      open = await createLocalNetwork(options)
      return open
    },
  }
}
