import { getuid } from 'node:process'
import { MICROVM_LIMITS } from './microvm-limits.ts'

export type Accelerator = 'kvm' | 'tcg'

/** Files that QEMU gets as open descriptors: it opens no path of ours, whoever it runs as. */
export const DESCRIPTORS = { channel: 3, console: 4, kernel: 5, initramfs: 6, disks: 7 } as const

export interface MachineDisk {
  /** Its serial number, by which the guest knows it. */
  name: 'root' | 'in' | 'out'
  fd: number
  readOnly: boolean
}

export interface MachineCommandOptions {
  qemu: string
  accelerator: Accelerator
  memoryBytes: number
  cpus: number
  /** Of this computer's time stamp counter, which emulation passes on and the guest cannot find out. */
  tscKhz: number | undefined
  diskNames: readonly Pick<MachineDisk, 'name' | 'readOnly'>[]
  /** Who QEMU runs as, when we are root. */
  user: number
  /** Group that may use /dev/kvm. */
  kvmGroup: number | undefined
}

/** What the kernel is told. Nothing of a task is in it. */
function kernelCommandLine({ accelerator, tscKhz }: MachineCommandOptions): string {
  return [
    'quiet loglevel=1 console=ttyS0 8250.nr_uarts=1 panic=-1 reboot=t',
    // The guest has nobody to keep apart inside, and no keyboard to look for.
    'mitigations=off i8042.nokbd i8042.noaux i8042.nopnp',
    'random.trust_cpu=on cryptomgr.notests audit=0 nowatchdog',
    ...(accelerator === 'tcg' && tscKhz !== undefined
      ? [`tsc=reliable tsc_early_khz=${tscKhz}`]
      : []),
  ].join(' ')
}

/**
 * The whole command of a machine: a closed template. No network, no display, no monitor, no USB, no PCI;
 * three disks, one serial port to talk over and one for the kernel's last words.
 *
 * `setpriv` lets QEMU end with its parent, `unshare` takes the network from it, and its own filter
 * forbids it to start programs.
 */
export function machineCommand(options: MachineCommandOptions): string[] {
  const { accelerator } = options
  const megabytes = Math.ceil(options.memoryBytes / 1024 ** 2)
  const acceleration =
    accelerator === 'kvm'
      ? 'kvm'
      : `tcg,thread=multi,tb-size=${MICROVM_LIMITS.translatedBytes / 1024 ** 2}`
  return [
    ...launcher(options),
    options.qemu,
    ...['-M', 'microvm,acpi=on,pcie=off,usb=off,pit=off,pic=off,rtc=on,isa-serial=on'],
    ...['-accel', acceleration, '-cpu', accelerator === 'kvm' ? 'host' : 'max'],
    ...['-m', `${megabytes}M`, '-smp', `${options.cpus}`],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-kernel', `/proc/self/fd/${DESCRIPTORS.kernel}`],
    ...['-initrd', `/proc/self/fd/${DESCRIPTORS.initramfs}`],
    ...['-append', kernelCommandLine(options)],
    ...['-chardev', `socket,id=console,fd=${DESCRIPTORS.console}`, '-serial', 'chardev:console'],
    ...['-chardev', `socket,id=channel,fd=${DESCRIPTORS.channel}`],
    ...['-device', 'virtio-serial-device,max_ports=2'],
    ...['-device', 'virtserialport,chardev=channel,nr=1'],
    ...options.diskNames.flatMap(diskOptions),
  ]
}

function diskOptions(
  { name, readOnly }: Pick<MachineDisk, 'name' | 'readOnly'>,
  index: number,
): string[] {
  const set = index + 1
  const mode = readOnly ? 'on' : 'off'
  const file = `file.driver=file,file.filename=/dev/fdset/${set},file.locking=off`
  // What a machine wrote is gone with it: nothing has to reach the disk.
  const cache = 'cache.no-flush=on,discard=unmap'
  return [
    ...['-add-fd', `fd=${DESCRIPTORS.disks + index},set=${set}`],
    ...['-blockdev', `driver=raw,node-name=${name},read-only=${mode},${cache},${file}`],
    ...['-device', `virtio-blk-device,drive=${name},serial=${name}`],
  ]
}

function launcher({ user, accelerator, kvmGroup }: MachineCommandOptions): string[] {
  const common = ['setpriv', '--pdeathsig', 'KILL', '--no-new-privs']
  if (getuid?.() !== 0) return common
  const groups =
    accelerator === 'kvm' && kvmGroup !== undefined
      ? ['--groups', `${kvmGroup}`]
      : ['--clear-groups']
  const rights = ['--reuid', `${user}`, '--regid', `${user}`, ...groups, '--inh-caps=-all']
  return ['unshare', '--net', '--ipc', '--', ...common, ...rights]
}
