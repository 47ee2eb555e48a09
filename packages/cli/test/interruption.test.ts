import { EventEmitter } from 'node:events'
import { expect, it, vi } from 'vitest'
import { createInterruption, Interrupted, orInterrupted } from '../src/interruption.ts'

const fakeProcess = () => Object.assign(new EventEmitter(), { exit: vi.fn() })

it('asks politely first and leaves at the second signal', () => {
  const process = fakeProcess()
  const interruption = createInterruption(process as never, { launched: false })
  expect(interruption.signal.aborted).toBe(false)
  process.emit('SIGINT')
  expect(interruption.signal.aborted).toBe(true)
  expect(process.exit).not.toHaveBeenCalled()
  process.emit('SIGTERM')
  expect(process.exit).toHaveBeenCalledWith(130)
})

it('takes a signal that the terminal and the launcher both sent for one', () => {
  const process = fakeProcess()
  createInterruption(process as never, { launched: true })
  process.emit('SIGINT')
  process.emit('SIGINT')
  expect(process.exit).not.toHaveBeenCalled()
})

it('lets a command decide what the second signal does', () => {
  const process = fakeProcess()
  const interruption = createInterruption(process as never, { launched: false })
  const second = vi.fn()
  interruption.onSecond(second)
  interruption.trigger()
  interruption.trigger()
  expect(second).toHaveBeenCalledOnce()
  expect(process.exit).not.toHaveBeenCalled()
})

it('ends a wait at the signal', async () => {
  const abort = new AbortController()
  const waiting = orInterrupted(new Promise(() => {}), abort.signal)
  abort.abort()
  await expect(waiting).rejects.toBeInstanceOf(Interrupted)
  await expect(orInterrupted(Promise.resolve(1), abort.signal)).rejects.toBeInstanceOf(Interrupted)
  await expect(orInterrupted(Promise.resolve(1), new AbortController().signal)).resolves.toBe(1)
})

it('takes SIGHUP for a wish to read again, until the terminal has gone', () => {
  const process = fakeProcess()
  let terminal = true
  const hasTerminal = () => terminal
  const interruption = createInterruption(process as never, { launched: false, hasTerminal })
  const reload = vi.fn()
  const forget = interruption.onHangup(reload)
  process.emit('SIGHUP')
  expect(reload).toHaveBeenCalledTimes(1)
  expect(interruption.signal.aborted).toBe(false)
  terminal = false
  process.emit('SIGHUP')
  expect(reload).toHaveBeenCalledTimes(1)
  expect(interruption.signal.aborted).toBe(true)
  forget()
  expect(process.listenerCount('SIGHUP')).toBe(0)
})
