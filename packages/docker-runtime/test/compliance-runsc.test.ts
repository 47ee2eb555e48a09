import process from 'node:process'
import { runtimeCompliance } from '@manyhands/testing/runtime-compliance'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { BUSYBOX_PROGRAMS, sh } from './busybox-programs.ts'
import { canStart, OwnDocker } from './own-engines.ts'
import { SandboxForTests } from './sandbox-for-tests.ts'

// Works without virtualisation and without a network of gVisor's own, as on a small test machine.
const runtimeArgs = ['--platform=ptrace', '--network=none']

describe.skipIf(!canStart('dockerd', 'runsc'))('with gVisor', () => {
  let engine: OwnDocker
  beforeAll(async () => {
    engine = await OwnDocker.start({ runtimes: { runsc: { path: '/usr/bin/runsc', runtimeArgs } } })
  }, 60_000)
  afterAll(() => engine?.[Symbol.asyncDispose](), 60_000)

  runtimeCompliance(
    {
      name: "docker({ isolation: 'runsc' })",
      create: () => docker({ reaper: false, socketPath: engine.socketPath, isolation: 'runsc' }),
      programs: {
        ...BUSYBOX_PROGRAMS,
        // gVisor tells no task what a mount of the host's is; the runtime has looked at it from outside.
        secret: (name) =>
          sh('cd /run/secrets && echo "$(stat -c "%a %u" "$1") tmpfs" && cat "$1"', name),
      },
      leftovers: (hostInstance) => engine.leftovers(hostInstance),
      print: (line) => process.stderr.write(`${line}\n`),
    },
    { describe, it, expect },
  )

  it('is what the offer says, and what a task finds', async () => {
    await using sandbox = await SandboxForTests.open({
      socketPath: engine.socketPath,
      isolation: 'runsc',
    })
    expect(await sandbox.runtime.fingerprint()).toMatchObject({
      available: true,
      isolation: 'gvisor',
      attributes: { 'docker.isolation': 'gvisor', 'docker.oci-runtime': 'runsc' },
    })
    const { stdout } = await sandbox.run(sh('cat /proc/version'))
    expect(stdout).toMatch(/gVisor|Linux version 4\.4\.0/)
  })
})
