/**
 * What the engine alone needs for trivial containers: the peer that container benchmarks compare with.
 */
import type Docker from 'dockerode'

export interface ContainerRate {
  /** Containers from create to removed, per second. */
  perSecond: number
  durationMs: number
}

/** Runs `count` times `work`, at most `concurrency` at once. */
export async function inParallel(
  count: number,
  concurrency: number,
  work: (index: number) => Promise<void>,
): Promise<ContainerRate> {
  let next = 0
  const begun = performance.now()
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: concurrency }, lane))
  const durationMs = performance.now() - begun
  return { perSecond: (count * 1000) / durationMs, durationMs }
}

/** Create, start, wait, remove: nothing but the calls that any user of the engine has to make. */
export function bareContainers(
  docker: Docker,
  options: { image: string; count: number; concurrency: number },
): Promise<ContainerRate> {
  return inParallel(options.count, options.concurrency, async () => {
    const container = await docker.createContainer({
      Image: options.image,
      Cmd: ['/bin/true'],
      HostConfig: { NetworkMode: 'none' },
    })
    await container.start()
    await container.wait()
    await container.remove()
  })
}
