import { BUSYBOX_IMAGE } from '../../../scripts/docker-images.ts'
import { engine } from '../../docker-runtime/test/engine-for-tests.ts'

/** A job of busybox's shell. */
export function sh(script: string) {
  return {
    runtime: 'docker',
    image: BUSYBOX_IMAGE,
    command: ['/bin/sh', '-c', script],
    resources: { cpus: 0.1, memory: '32MiB', disk: '64MiB', pids: 16 },
  }
}

/** Ids of the containers of these host instances, whatever their state. */
export async function containersOf(...instances: string[]): Promise<string[]> {
  const found: string[] = []
  for (const instance of instances) {
    const label = [`manyhands.host=${instance}`]
    for (const { Id } of await engine.listContainers({ all: true, filters: { label } })) {
      found.push(Id)
    }
  }
  return found
}

/** Nothing of these host instances outlives a test, also one that failed. */
export async function removeContainersOf(...instances: string[]): Promise<void> {
  for (const id of await containersOf(...instances)) {
    await engine
      .getContainer(id)
      .remove({ force: true, v: true })
      .catch(() => {})
  }
}

/** Polls until it holds, 30 s at most. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`gave up waiting until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
