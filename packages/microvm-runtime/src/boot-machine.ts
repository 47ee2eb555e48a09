import { ManyhandsError } from '@manyhands/core'
import { FROM_GUEST, type Frame, GuestFault, PROTOCOL_VERSION } from './guest-protocol.ts'
import { Machine, type MachineOptions } from './machine.ts'

/** A machine whose init is there and waits to be told what to do. */
export interface BootedMachine {
  machine: Machine
  frames: AsyncGenerator<Frame>
}

/**
 * Starts a machine and waits for the first word of its init. On failure nothing is left.
 *
 * @throws RUNTIME_UNAVAILABLE, RUNTIME_FAILED with the kernel's last words, the signal's reason
 */
export async function bootMachine(
  options: MachineOptions,
  { signal, deadlineMs }: { signal: AbortSignal; deadlineMs: number },
): Promise<BootedMachine> {
  signal.throwIfAborted()
  const machine = await Machine.start(options)
  const late = AbortSignal.timeout(deadlineMs)
  const end = () => void machine.kill()
  const either = AbortSignal.any([signal, late])
  either.addEventListener('abort', end, { once: true })
  try {
    if (either.aborted) end()
    const frames = machine.frames()
    const first = await frames.next()
    if (first.done === true) await machine.kill()
    signal.throwIfAborted()
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
    either.removeEventListener('abort', end)
  }
}
