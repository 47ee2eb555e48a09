/** Limits of the microvm runtime, with their reasons. What both sides agree on is in core's LIMITS. */
export const MICROVM_LIMITS = {
  /** Bytes of memory that a machine has besides its task's: kernel, init, page tables. */
  guestMemoryBytes: 96 * 1024 ** 2,
  /** Bytes that QEMU itself may use besides the guest's memory; where control groups are, its end. */
  qemuMemoryBytes: 192 * 1024 ** 2,
  /** Bytes of translated code that emulation keeps; QEMU's own default is a gigabyte. */
  translatedBytes: 64 * 1024 ** 2,
  /** Cores of one machine: what the machine type takes is more, what a task needs is rarely. */
  cpus: 64,
  /** How long a machine may take from its start to the task's, ms. Emulation under load takes its time. */
  bootMs: 90_000,
  /** How long KVM gets to boot the kernel when it is tried; where it works this takes 0.3 s. */
  kvmProbeMs: 8_000,
  /** Bytes of one frame from the guest; its init sends at most 36 KiB. */
  frameBytes: 64 * 1024,
  /** What is kept of the kernel's last words, bytes. */
  consoleBytes: 4096,
  /** How long a machine may take to hand over /out: this, and a second for each such count of bytes. */
  collectMs: 60_000,
  collectBytesPerSecond: 4 * 1024 ** 2,
  /** How long after its longest run time a machine that does not end by itself is ended from outside. */
  overtimeMs: 2000,
  /** How long a machine may take to say that limits have changed, ms. */
  limitMs: 10_000,
  /** What an entry without content costs below /out, bytes, so that a flood of them fills it too. */
  entryBytes: 256,
  /** Entries that a machine may hand over. */
  outEntries: 1_000_000,
  /** Bytes of a kernel and of a module file: a wrong path is told, not loaded. */
  kernelBytes: 256 * 1024 ** 2,
  moduleBytes: 16 * 1024 ** 2,
} as const
