import { execFile } from 'node:child_process'
import { access, copyFile, mkdir, mkdtemp, readdir, readlink, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { afterAll } from 'vitest'
import { type MicrovmOptions, microvm } from '../src/index.ts'

const HOW = 'run scripts/ensure-microvm.sh, which gets QEMU, squashfs-tools and a kernel'
const ROOT = new URL('../../../', import.meta.url).pathname
const APPLETS =
  'sh cat chmod chown cp dd dirname echo env grep head id kill ln ls mkdir mknod mkfifo mount nc ping printf ps ' +
  'rm seq sleep stat sysctl tail test touch true truncate umount uname unshare wc wget yes'

const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

/** The first kernel that has its modules beside it: unpacked by our script, or the computer's own. */
async function findKernel(): Promise<Pick<MicrovmOptions, 'kernel' | 'modules'> | undefined> {
  for (const root of [join(ROOT, 'out/microvm-kernel'), '/']) {
    for (const name of await readdir(join(root, 'boot')).catch(() => [])) {
      const version = /^vmlinuz-(.*-cloud-amd64)$/.exec(name)?.[1]
      if (version === undefined) continue
      const modules = join(root, 'lib/modules', version)
      if (await there(join(modules, 'kernel'))) {
        return { kernel: join(root, 'boot', name), modules }
      }
    }
  }
  return undefined
}

export interface MachinesForTests {
  /** A runtime that emulates, so that all computers test the same. */
  create(options?: Partial<MicrovmOptions>): ReturnType<typeof microvm>
  /** A squashfs image of busybox, 1 MB. */
  image: string
  kernel: Pick<MicrovmOptions, 'kernel' | 'modules'>
}

/**
 * What the tests need to run machines; undefined when this computer lacks it. On CI that is a failure;
 * elsewhere one test file says so in one visible line. The image is made anew and removed at the end.
 */
export async function machinesForTests(
  options: { announce?: boolean } = {},
): Promise<MachinesForTests | undefined> {
  const kernel = await findKernel()
  const tools = ['/usr/bin/qemu-system-x86_64', '/usr/bin/mksquashfs', '/bin/busybox']
  const missing = kernel === undefined ? ['a kernel'] : []
  for (const tool of tools) if (!(await there(tool))) missing.push(tool)
  if (kernel === undefined || missing.length > 0) {
    const reason = `${missing.join(', ')} missing: ${HOW}`
    if (process.env['CI']) throw new Error(reason)
    if (options.announce) process.stderr.write(`microvm tests skipped: ${reason}\n`)
    return undefined
  }
  const create = (more: Partial<MicrovmOptions> = {}) =>
    microvm({ ...kernel, accel: 'tcg', ...more })
  return { create, image: await busyboxImage(), kernel }
}

async function busyboxImage(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'manyhands-microvm-'))
  afterAll(() => rm(directory, { recursive: true, force: true }))
  const tree = join(directory, 'tree')
  await mkdir(join(tree, 'bin'), { recursive: true })
  await copyFile('/bin/busybox', join(tree, 'bin/busybox'))
  for (const applet of APPLETS.split(' ')) await symlink('busybox', join(tree, 'bin', applet))
  const image = join(directory, 'busybox.squashfs')
  await promisify(execFile)('mksquashfs', [tree, image, '-all-root', '-quiet', '-no-progress'])
  await rm(tree, { recursive: true })
  return image
}

/** Processes of machines whose disks or kernel are below a directory: what a case left behind. */
export async function machineProcesses(marker: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
      const command = await readlink(`/proc/${pid}/exe`).catch(() => '')
      if (target.includes(marker) && command.includes('qemu'))
        found.push(`process ${pid}: ${target}`)
    }
  }
  return found
}
