import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureImage } from '../../../../scripts/docker-images.ts'
import {
  canStart,
  hasContainerdStore,
  OwnDocker,
  type OwnEngine,
  OwnPodman,
} from '../own-engines.ts'
import { run, TwoEngines } from './two-engines.ts'

const docker = () => OwnDocker.start()
const containerd = () => OwnDocker.start({ containerdStore: true })
const podman = () => OwnPodman.start()

type Make = () => Promise<OwnEngine>
const canDocker = canStart('dockerd', 'ip')
const canPodman = canDocker && canStart('podman')
const canContainerd = canDocker && (await hasContainerdStore())

describe.each<[string, boolean, Make, Make]>([
  ['from Podman to Docker', canPodman, podman, docker],
  ['from Docker to Podman', canPodman, docker, podman],
  ['from Podman to Podman', canPodman, podman, podman],
  ['from containerd’s store to Docker’s', canContainerd, containerd, docker],
  ['from Docker’s store to containerd’s', canContainerd, docker, containerd],
  ['from containerd’s store to containerd’s', canContainerd, containerd, containerd],
])('an image that travels %s', (_, possible, client, host) => {
  let engines: TwoEngines

  beforeAll(async () => {
    if (possible) engines = await TwoEngines.start({ client, host })
  }, 60_000)

  afterAll(() => engines?.[Symbol.asyncDispose](), 60_000)

  it.skipIf(!possible)('runs, comes once, and goes when its room is needed', async () => {
    const image = await ensureImage(
      engines.client.docker,
      'my/other:1',
      [],
      [{ path: 'what', content: 'arrived\n', mode: 0o644 }],
    )
    const lent = await engines.openHost()
    const borrower = await engines.openClient(lent)
    const first = await run(borrower, image)
    expect(first.said).toEqual(['arrived'])
    expect(first.bytesUp).toBeGreaterThan(1_900_000)
    const second = await run(await engines.openClient(lent), image)
    expect([second.said, second.bytesUp]).toEqual([['arrived'], 0])
    const ours = async () =>
      (await engines.tags()).filter((tag) => tag.startsWith('manyhands.local/'))
    expect(await ours()).toHaveLength(1)
    await expect
      .poll(
        async () => {
          await lent.setPolicy({ policy: { imageCache: 1 } })
          return ours()
        },
        { timeout: 20_000 },
      )
      .toEqual([])
  })
})
