import { getRandomValues } from 'node:crypto'
import { WASM_LIMITS } from '../wasm-limits.ts'
import { ProcessExit, WasiError } from './errno.ts'
import type { Call, System } from './system.ts'

const CLOCK = { realtime: 0, monotonic: 1, processCpu: 2, threadCpu: 3 } as const
const EVENT = { clock: 0, read: 1, write: 2 } as const
const SUBSCRIPTION_BYTES = 48
const EVENT_BYTES = 32
const ABSOLUTE_TIME = 1

/** Finer clocks help to measure what other programs on the computer do. */
const CLOCK_RESOLUTION_NS = 1_000_000n

/** WebCrypto's own limit of one request. */
const RANDOM_BYTES = 65_536

function clockNs(id: number): bigint {
  if (id === CLOCK.realtime) return BigInt(Date.now()) * CLOCK_RESOLUTION_NS
  if (id === CLOCK.monotonic || id === CLOCK.processCpu || id === CLOCK.threadCpu) {
    return BigInt(Math.floor(performance.now())) * CLOCK_RESOLUTION_NS
  }
  throw new WasiError('INVAL')
}

/** Arguments, environment, clocks, randomness, sleeping and the end. There are no sockets. */
export function processCalls(system: System) {
  const { memory } = system
  const sizes = (strings: Uint8Array[], count: number, bytes: number) => {
    memory.setU32(count, strings.length)
    memory.setU32(
      bytes,
      strings.reduce((sum, string) => sum + string.length + 1, 0),
    )
  }
  const noSocket = () => {
    throw new WasiError('NOTSOCK')
  }

  return {
    args_sizes_get: (count: number, bytes: number) => sizes(system.argv, count, bytes),
    args_get: (table: number, buffer: number) => memory.setStrings(table, buffer, system.argv),
    environ_sizes_get: (count: number, bytes: number) => sizes(system.environment, count, bytes),
    environ_get: (table: number, buffer: number) =>
      memory.setStrings(table, buffer, system.environment),

    clock_res_get: (id: number, result: number) => {
      clockNs(id)
      memory.setU64(result, CLOCK_RESOLUTION_NS)
    },
    clock_time_get: (id: number, _precision: bigint, result: number) =>
      memory.setU64(result, clockNs(id)),

    random_get: (buffer: number, length: number) => {
      const target = memory.bytes(buffer, length)
      for (let offset = 0; offset < target.length; offset += RANDOM_BYTES) {
        // A whole gigabyte takes seconds: a pause must not wait for all of it.
        system.gate()
        getRandomValues(target.subarray(offset, offset + RANDOM_BYTES))
      }
    },

    poll_oneoff: (input: number, output: number, count: number, result: number) => {
      if (count === 0 || count >>> 0 > WASM_LIMITS.vectors) throw new WasiError('INVAL')
      memory.bytes(output, EVENT_BYTES * count)
      const waits: { at: number; userdata: bigint; type: number; dueNs: bigint }[] = []
      const startNs = clockNs(CLOCK.monotonic)
      for (let index = 0; index < count; index += 1) {
        const at = (input >>> 0) + SUBSCRIPTION_BYTES * index
        const type = memory.u8(at + 8)
        if (type > EVENT.write) throw new WasiError('INVAL')
        let dueNs = startNs
        if (type === EVENT.clock) {
          const timeout = memory.u64(at + 24)
          const absolute = memory.u16(at + 40) & ABSOLUTE_TIME
          dueNs += absolute ? timeout - clockNs(memory.u32(at + 16)) : timeout
        } else {
          // Nothing here ever blocks: files and output are always ready, input is always at its end.
          system.descriptors.get(memory.u32(at + 16))
        }
        waits.push({ at, userdata: memory.u64(at), type, dueNs })
      }
      let firstNs = waits[0]!.dueNs
      for (const { dueNs } of waits) if (dueNs < firstNs) firstNs = dueNs
      if (firstNs > startNs) system.sleep(Number(firstNs - startNs) / 1e6)
      let events = 0
      for (const wait of waits) {
        if (wait.dueNs > firstNs) continue
        const at = (output >>> 0) + EVENT_BYTES * events
        memory.bytes(at, EVENT_BYTES).fill(0)
        memory.setU64(at, wait.userdata)
        memory.setU8(at + 10, wait.type)
        events += 1
      }
      memory.setU32(result, events)
    },

    proc_exit: (code: number) => {
      throw new ProcessExit(code >>> 0)
    },
    proc_raise: () => {
      throw new WasiError('NOSYS')
    },
    sched_yield: () => {},
    sock_accept: noSocket,
    sock_recv: noSocket,
    sock_send: noSocket,
    sock_shutdown: noSocket,
  } satisfies Record<string, Call>
}
