import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { machinesForTests } from './machines-for-tests.ts'
import { startForTests } from './task-for-tests.ts'

const machines = await machinesForTests()
const TIMEOUT_MS = 180_000

describe.skipIf(machines === undefined)('a boot', { timeout: TIMEOUT_MS }, () => {
  const { create, image, kernel } = machines!

  it('that falls asleep is given up for another', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'manyhands-asleep-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    // QEMU runs as somebody else where the tests run as root.
    await chmod(directory, 0o777)
    const qemu = join(directory, 'qemu')
    const script = `#!/bin/sh
real=/usr/bin/qemu-system-x86_64
[ "$1" = --version ] && exec $real --version
mkdir ${directory}/slept 2>/dev/null && exec sleep 1000
exec $real "$@"
`
    await writeFile(qemu, script, { mode: 0o755 })
    await using started = await startForTests(create({ qemu }), image, ['/bin/echo', 'awake'])
    expect((await started.finish()).stdout).toBe('awake\n')
    expect(await readdir(directory)).toContain('slept')
  })

  it('that is impossible is told by the fingerprint', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'manyhands-no-boot-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const told = async (options: Parameters<typeof create>[0]) => {
      const runtime = create(options)
      await runtime.open({ hostInstance: 'test', stateDir: directory })
      const fingerprint = await runtime.fingerprint()
      await runtime.close()
      return fingerprint
    }
    expect(await told({ kernel: '/nowhere/vmlinuz' })).toMatchObject({
      available: false,
      detail: expect.stringMatching(/vmlinuz.*Name a kernel/),
    })
    expect(await told({ qemu: 'qemu-that-is-not-there' })).toMatchObject({ available: false })
    expect(await told({ kernel: kernel.kernel, modules: undefined })).toMatchObject({
      available: false,
    })
  })

  it('without KVM says so, where KVM does not work', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'manyhands-kvm-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const runtime = create({ accel: 'auto' })
    await runtime.open({ hostInstance: 'test', stateDir: directory })
    const { available, detail, attributes, isolation } = await runtime.fingerprint()
    await runtime.close()
    expect({ available, isolation }).toEqual({ available: true, isolation: 'microvm' })
    const accelerator = attributes['microvm.accel']
    if (accelerator === 'kvm') expect(detail).toBe(undefined)
    else expect(detail).toMatch(/KVM does not work here.*about ten times slower/)
  })
})
