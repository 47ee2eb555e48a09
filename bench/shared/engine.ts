/** The engine that container benchmarks use, beside and behind the product. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import Docker from 'dockerode'

/** `BENCH_ENGINE`: the socket of a quiet engine, where the usual one has other users. */
export const socketPath = process.env['BENCH_ENGINE'] ?? '/var/run/docker.sock'

export const engine = new Docker({ socketPath })

/** Its daemon; undefined where it is not a process of this computer. */
export function enginePid(): number | undefined {
  try {
    return Number(readFileSync(join(dirname(socketPath), 'docker.pid'), 'utf8'))
  } catch {
    return undefined
  }
}

/** What a killed host leaves, when it is not to come back. */
export async function removeContainersOf(hostInstance: string): Promise<void> {
  const filters = { label: [`manyhands.host=${hostInstance}`] }
  const left = await engine.listContainers({ all: true, filters })
  await Promise.all(
    left.map(({ Id }) =>
      engine
        .getContainer(Id)
        .remove({ force: true, v: true })
        .catch(() => {}),
    ),
  )
}
