/** The engine that container benchmarks use, beside and behind the product. */
import Docker from 'dockerode'

export const engine = new Docker({ socketPath: '/var/run/docker.sock' })

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
