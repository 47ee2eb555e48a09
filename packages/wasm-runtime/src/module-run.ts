import { GROWTH_REFUSED, MEMORY_IMPORT, PAGE_BYTES } from './memory-import.ts'
import type { RingWriter } from './output-ring.ts'
import { Descriptors } from './wasi/descriptors.ts'
import { DiskExceeded, ProcessExit } from './wasi/errno.ts'
import { DirectoryNode, loadTree } from './wasi/file-tree.ts'
import { encodeStrings, GuestMemory } from './wasi/guest-memory.ts'
import { writeTree } from './wasi/out-writer.ts'
import { preview1 } from './wasi/preview1.ts'
import { PREVIEW1 } from './wasi/preview1-functions.ts'
import { Quota } from './wasi/quota.ts'
import type { System } from './wasi/system.ts'
import { WASM_LIMITS } from './wasm-limits.ts'
import {
  TRAP_EXIT_CODE,
  WorkerControl,
  type WorkerEnd,
  type WorkerMemory,
  type WorkerTask,
} from './worker-protocol.ts'

const BLANK_END: WorkerEnd = {
  kind: 'end',
  exitCode: 0,
  trapped: false,
  disk: false,
  oom: false,
  fault: undefined,
  cpuMs: undefined,
}

/** Runs a module to its end in this thread, then writes what it left below /out to the host's disk. */
export function runModule(
  task: WorkerTask,
  module: WebAssembly.Module,
  tmp: DirectoryNode | undefined,
  stdout: RingWriter,
  stderr: RingWriter,
): WorkerEnd {
  const control = new WorkerControl(task.control)
  let end: WorkerEnd
  try {
    end = runIn(task, module, tmp, control, stdout, stderr)
  } catch (error) {
    end = { ...BLANK_END, exitCode: TRAP_EXIT_CODE, fault: describe(error) }
  }
  const cpu = process.threadCpuUsage?.()
  return { ...end, cpuMs: cpu && (cpu.user + cpu.system) / 1000 }
}

function runIn(
  task: WorkerTask,
  module: WebAssembly.Module,
  tmp: DirectoryNode | undefined,
  control: WorkerControl,
  stdout: RingWriter,
  stderr: RingWriter,
): WorkerEnd {
  const memory = createMemory(task)
  if (task.memory !== undefined && memory === undefined) {
    stderr.write(new TextEncoder().encode(tooLarge(task.memory)))
    return { ...BLANK_END, exitCode: TRAP_EXIT_CODE, trapped: true, oom: true }
  }
  const guest = new GuestMemory(memory)
  const quota = new Quota(task.diskBytes, (bytes) => {
    control.diskBytes = bytes
  })
  const out = new DirectoryNode(quota, task.outDir)
  try {
    loadTree(out)
  } catch (error) {
    // What was there before is too much already; it stays as it is.
    if (error instanceof DiskExceeded) return { ...BLANK_END, ...ended(error) }
    throw error
  }
  const descriptors = new Descriptors()
  descriptors.add({ kind: 'input' })
  descriptors.add({ kind: 'output', write: (bytes) => stdout.write(bytes) })
  descriptors.add({ kind: 'output', write: (bytes) => stderr.write(bytes) })
  descriptors.openDirectory(new DirectoryNode(undefined, task.inDir), 0, '/in')
  descriptors.openDirectory(out, 0, '/out')
  if (tmp !== undefined) descriptors.openDirectory(tmp, 0, '/tmp')

  const system: System = {
    memory: guest,
    descriptors,
    argv: encodeStrings(task.argv),
    environment: encodeStrings(task.environment),
    sleep(ms) {
      control.sleep(ms)
      control.waitWhilePaused()
    },
    gate() {
      control.memoryBytes = guest.byteLength
      control.waitWhilePaused()
    },
  }
  const end = { ...BLANK_END }
  let refused: unknown
  try {
    const imports = {
      [PREVIEW1]: preview1(system),
      ...(memory === undefined ? {} : { [MEMORY_IMPORT]: { memory } }),
    }
    control.memoryBytes = guest.byteLength
    const instance = new WebAssembly.Instance(module, imports)
    refused = instance.exports[GROWTH_REFUSED]
    ;(instance.exports['_start'] as () => void)()
  } catch (error) {
    Object.assign(end, ended(error))
    if (end.trapped) stderr.write(new TextEncoder().encode(`wasm trap: ${describe(error)}\n`))
  }
  control.memoryBytes = guest.byteLength
  descriptors.closeAll()
  end.oom = (end.trapped || end.exitCode !== 0) && growthWasRefused(task, guest.byteLength, refused)
  writeTree(out, task.outDir)
  return end
}

const tooLarge = ({ initialPages, maximumPages }: WorkerMemory) =>
  `the module begins with ${initialPages} pages of memory; the task may have ${maximumPages}\n`

function createMemory(task: WorkerTask): WebAssembly.Memory | undefined {
  if (task.memory === undefined) return undefined
  const { initialPages, maximumPages } = task.memory
  try {
    return new WebAssembly.Memory({ initial: initialPages, maximum: maximumPages })
  } catch {
    return undefined
  }
}

/** Whether the task's cap stood in the way; a maximum of the module's own is its own affair. */
function growthWasRefused(task: WorkerTask, memoryBytes: number, refused: unknown): boolean {
  if (!task.memory?.capped || task.memory.growth === 'never') return false
  if (refused instanceof WebAssembly.Global) return refused.value === 1
  // Allocators tend to double: one that failed with more than half of its cap probably asked for more.
  return memoryBytes * 2 > task.memory.maximumPages * PAGE_BYTES
}

function ended(error: unknown): Partial<WorkerEnd> {
  if (error instanceof ProcessExit) return { exitCode: error.code }
  if (error instanceof DiskExceeded) return { exitCode: TRAP_EXIT_CODE, disk: true }
  return { exitCode: TRAP_EXIT_CODE, trapped: true }
}

function describe(error: unknown): string {
  const text = error instanceof Error ? `${error.message}\n${wasmFrames(error)}` : String(error)
  return text.trimEnd().slice(0, WASM_LIMITS.trapBytes)
}

/** The module's own frames; the host's would name its paths. */
function wasmFrames(error: Error): string {
  const frames = error.stack?.split('\n').filter((line) => line.includes('wasm://')) ?? []
  return frames.map((frame) => frame.replace(/wasm:\/\/wasm\//, '')).join('\n')
}
