import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hashOfSources } from '../../../scripts/microvm-init.ts'
import { BootGate } from '../src/boot-gate.ts'
import { GUEST_INIT_SOURCES } from '../src/guest-init.ts'
import { KernelModules } from '../src/kernel-modules.ts'
import { machineCommand } from '../src/machine-command.ts'
import { openRootImage } from '../src/root-image.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-microvm-parts-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

describe('the shipped init', () => {
  it('was made from the sources that are here', () => {
    expect(GUEST_INIT_SOURCES, 'run node scripts/microvm-init.ts').toBe(hashOfSources())
  })
})

describe('a root image', () => {
  it('is known by its magic number', async () => {
    const squashfs = join(directory, 'a')
    await writeFile(squashfs, Buffer.concat([Buffer.from('hsqs'), Buffer.alloc(4096)]))
    const ext4 = join(directory, 'b')
    await writeFile(ext4, Buffer.alloc(2 * 1024 ** 2))
    execFileSync('/sbin/mkfs.ext4', ['-q', '-F', ext4])
    for (const [path, type] of [
      [squashfs, 'squashfs'],
      [ext4, 'ext4'],
    ] as const) {
      const image = await openRootImage(path)
      await image.file.close()
      expect(image.type).toBe(type)
    }
  })

  it('that is none is refused', async () => {
    const text = join(directory, 'text')
    await writeFile(text, 'FROM scratch')
    await expect(openRootImage(text)).rejects.toMatchObject({ code: 'IMAGE_INVALID' })
    await expect(openRootImage(directory)).rejects.toMatchObject({ code: 'IMAGE_INVALID' })
    const nowhere = join(directory, 'nowhere')
    await expect(openRootImage(nowhere)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
  })
})

describe('kernel modules', () => {
  it('are loaded after those that they need, and only when they are wanted', async () => {
    const module = (name: string, depends: string) =>
      writeFile(join(directory, 'kernel', `${name}.ko`), `${name}\0depends=${depends}\0more`)
    await mkdir(join(directory, 'kernel'))
    await module('virtio-mmio', 'virtio,virtio_ring')
    await module('virtio', 'virtio_ring')
    await module('virtio_ring', '')
    await module('squashfs', 'squashfs')
    await module('erofs', '')
    const modules = await KernelModules.open(directory)
    const names = (await modules.forFileSystem('squashfs')).map((bytes) =>
      bytes.toString('latin1', 0, bytes.indexOf(0)),
    )
    expect(names).toEqual(['virtio_ring', 'virtio', 'virtio-mmio', 'squashfs'])
  })
})

describe('the command of a machine', () => {
  const command = machineCommand({
    qemu: 'qemu-system-x86_64',
    accelerator: 'tcg',
    memoryBytes: 128 * 1024 ** 2,
    cpus: 2,
    tscKhz: 2_000_000,
    user: 10001,
    kvmGroup: undefined,
    diskNames: [
      { name: 'root', readOnly: true },
      { name: 'in', readOnly: true },
      { name: 'out', readOnly: false },
    ],
  })

  it('has no network, no monitor, no default devices', () => {
    expect(command).toContain('-nodefaults')
    expect(command).toContain('-no-user-config')
    expect(command.join(' ')).not.toMatch(/ -net\b|-netdev|-nic|virtio-net|-mon\b|-monitor|-qmp/)
  })

  it('filters system calls, ends with its parent, and writes to one disk alone', () => {
    const text = command.join(' ')
    expect(text).toContain(
      '-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    )
    expect(text).toContain('setpriv --pdeathsig KILL --no-new-privs')
    expect(text.match(/read-only=off/g)).toHaveLength(1)
    expect(text).toContain('node-name=out,read-only=off')
  })
})

describe('the boot gate', () => {
  it('lets as many in as there are places, in order, and forgets who went away', async () => {
    const gate = new BootGate(1)
    const first = Promise.withResolvers<void>()
    const order: string[] = []
    const never = new AbortController()
    const one = gate.pass(() => first.promise, never.signal)
    const gone = new AbortController()
    const two = gate.pass(async () => void order.push('two'), gone.signal)
    const three = gate.pass(async () => void order.push('three'), never.signal)
    gone.abort(new Error('went away'))
    await expect(two).rejects.toThrow('went away')
    first.resolve()
    await Promise.all([one, three])
    await gate.pass(async () => void order.push('four'), never.signal)
    expect(order).toEqual(['three', 'four'])
  })
})
