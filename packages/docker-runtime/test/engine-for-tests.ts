import process from 'node:process'
import Docker from 'dockerode'
import { ensureBusybox } from '../../../scripts/docker-images.ts'

const HOW = 'no Docker engine answers: start one with scripts/ensure-docker.sh'

export const engine = new Docker({ socketPath: '/var/run/docker.sock' })

/**
 * Whether the tests that need an engine can run. On CI a missing engine is a failure; elsewhere one
 * test file says so in one visible line.
 */
export async function engineForTests(options: { announce?: boolean } = {}): Promise<boolean> {
  try {
    await engine.ping()
  } catch (cause) {
    if (process.env['CI']) throw new Error(HOW, { cause })
    if (options.announce) process.stderr.write(`docker tests skipped: ${HOW}\n`)
    return false
  }
  await ensureBusybox(engine)
  return true
}

/** Containers with this host instance's label. */
export async function leftovers(hostInstance: string): Promise<string[]> {
  const label = [`manyhands.host=${hostInstance}`]
  const containers = await engine.listContainers({ all: true, filters: { label } })
  return containers.map((container) => `container ${container.Names.join(' ')}`)
}
