import { ManyhandsError } from '@manyhands/core'
import { FROM_GUEST, type Frame, GuestFault, PROTOCOL_VERSION } from './guest-protocol.ts'
import { Machine, type MachineOptions } from './machine.ts'
import { processCpuMs } from './process-facts.ts'

/** A machine whose init is there and waits to be told what to do. */
export interface BootedMachine {
  machine: Machine
  frames: AsyncGenerator<Frame>
}

/** How long a machine that boots may use next to no processor before it counts as asleep for good. */
const ASLEEP_MS = 4000
const ASLEEP_CPU_MS = 40
const TRIES = 4

/**
 * Starts a machine and waits for the first word of its init. On failure nothing is left.
 *
 * An emulated kernel that calibrates its timer while this computer is very busy may end up without one,
 * and then waits for ever. What boots does not rest, so a machine that does is given up for another.
 *
 * @throws RUNTIME_UNAVAILABLE, RUNTIME_FAILED with the kernel's last words, the signal's reason
 */
export async function bootMachine(
  options: MachineOptions,
  bounds: { signal: AbortSignal; deadlineMs: number },
): Promise<BootedMachine> {
  for (let tries = 1; ; tries += 1) {
    const booted = await bootOnce(options, bounds)
    if (booted !== undefined) return booted
    if (tries === TRIES) {
      throw new ManyhandsError(
        'RUNTIME_FAILED',
        `the kernel fell asleep ${TRIES} times as it booted`,
      )
    }
  }
}

/** Ends a machine that rests, and answers afterwards whether it did. */
function watchSleep(machine: Machine): () => boolean {
  let asleep = false
  let before = processCpuMs(machine.pid) ?? 0
  const timer = setInterval(() => {
    const now = processCpuMs(machine.pid)
    if (now === undefined) return
    if (now - before < ASLEEP_CPU_MS) {
      asleep = true
      void machine.kill()
    }
    before = now
  }, ASLEEP_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    return asleep
  }
}

/** Undefined when the machine fell asleep. */
async function bootOnce(
  options: MachineOptions,
  { signal, deadlineMs }: { signal: AbortSignal; deadlineMs: number },
): Promise<BootedMachine | undefined> {
  signal.throwIfAborted()
  const machine = await Machine.start(options)
  const fellAsleep = watchSleep(machine)
  const late = AbortSignal.timeout(deadlineMs)
  const end = () => void machine.kill()
  const either = AbortSignal.any([signal, late])
  either.addEventListener('abort', end, { once: true })
  try {
    if (either.aborted) end()
    const frames = machine.frames()
    const first = await frames.next()
    if (first.done === true) await machine.kill()
    const asleep = fellAsleep()
    signal.throwIfAborted()
    if (first.done === true && asleep) return undefined
    if (first.done === true) {
      const why = late.aborted ? `not within ${deadlineMs} ms` : 'its machine ended'
      throw new ManyhandsError('RUNTIME_FAILED', `the kernel did not start: ${why}`, {
        hint: machine.lastWords === '' ? undefined : `Its last words: ${machine.lastWords}`,
      })
    }
    const { type, body } = first.value
    if (type !== FROM_GUEST.hello || body[0] !== PROTOCOL_VERSION) {
      throw new GuestFault(`a first frame of type ${type}: ${body.toString('latin1', 0, 200)}`)
    }
    return { machine, frames }
  } catch (error) {
    await machine.kill()
    throw error
  } finally {
    fellAsleep()
    either.removeEventListener('abort', end)
  }
}
