import process from 'node:process'
import { runtimeCompliance } from '@manyhands/testing/runtime-compliance'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { BUSYBOX_PROGRAMS } from './busybox-programs.ts'
import { egressForTests, LOOPBACK } from './egress-for-tests.ts'
import { canStart, OwnPodman } from './own-engines.ts'

const egress = await egressForTests()

describe.skipIf(!canStart('podman', 'conmon'))('with Podman', () => {
  let podman: OwnPodman
  beforeAll(async () => {
    podman = await OwnPodman.start()
  }, 60_000)
  afterAll(() => podman?.[Symbol.asyncDispose](), 60_000)

  runtimeCompliance(
    {
      name: "docker() on Podman's socket",
      create: () => docker({ reaper: false, socketPath: podman.socketPath, ...LOOPBACK }),
      programs: BUSYBOX_PROGRAMS,
      egress,
      leftovers: (hostInstance) => podman.leftovers(hostInstance),
      print: (line) => process.stderr.write(`${line}\n`),
    },
    { describe, it, expect },
  )

  it('is told by its name, and refuses an isolation that it would not keep', async () => {
    const found = await docker({ socketPath: podman.socketPath }).fingerprint()
    expect(found).toMatchObject({ available: true, attributes: { 'docker.engine': 'podman' } })
    const runsc = await docker({ socketPath: podman.socketPath, isolation: 'runsc' }).fingerprint()
    expect(runsc.available).toBe(false)
    expect(runsc.detail).toMatch(/containers\.conf/)
  })
})
