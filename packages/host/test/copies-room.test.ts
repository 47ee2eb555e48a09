import { expect, it } from 'vitest'
import type { Attempt } from '../src/attempt.ts'
import { copiesRoom, keepToDisk, makeCopiesRoom } from '../src/copies-room.ts'
import { runningAttempt } from './attempt-for-tests.ts'

const KIB = 1024
const COPY = 8 * KIB

/** An attempt with a disk of 1,000 KiB, of which 200 are written, and what the store let go of. */
function setup() {
  const attempt = runningAttempt('a.1')
  attempt.limits = { ...attempt.limits, diskBytes: 1000 * KIB }
  const released: string[] = []
  const store = {
    release: async (root: string, holder: string) => {
      released.push(`${root} of ${holder}`)
    },
  }
  writes(attempt, 200)
  return { attempt, store, released }
}

function writes(attempt: Attempt, kib: number): void {
  attempt.usage = { ...attempt.usage, disk: kib * KIB }
}
function checkpoint(attempt: Attempt, root: string, kib: number): void {
  attempt.checkpoints.add(attempt.checkpoints.next({ root, bytes: kib * KIB }))
}
function output(attempt: Attempt, root: string, kib: number): void {
  attempt.streamed.add({ path: root, root, bytes: kib * KIB - COPY, executable: false })
}

it('is what the task, its checkpoints and the copies of its outputs leave', () => {
  const { attempt } = setup()
  checkpoint(attempt, 'one', 300)
  output(attempt, 'frame', 100)
  expect(copiesRoom(attempt)).toBe(400 * KIB)
  attempt.checkpoints.making = 50 * KIB
  expect(copiesRoom(attempt)).toBe(350 * KIB)
})

it('is made of what the client has, then of outputs; not of what waits for it', async () => {
  const { attempt, store, released } = setup()
  checkpoint(attempt, 'one', 200)
  output(attempt, 'frame 1', 100)
  output(attempt, 'frame 2', 100)
  expect(await makeCopiesRoom(attempt, 400 * KIB, store)).toBe(true)
  expect(released).toEqual([])
  attempt.checkpoints.taken(1)
  expect(await makeCopiesRoom(attempt, 600 * KIB, store)).toBe(true)
  expect(released).toEqual(['one of a.1 checkpoint'])
  checkpoint(attempt, 'two', 200)
  expect(await makeCopiesRoom(attempt, 450 * KIB, store)).toBe(true)
  expect(released.slice(1)).toEqual(['frame 1 of a.1 streamed'])
  expect(await makeCopiesRoom(attempt, 700 * KIB, store)).toBe(false)
  expect(attempt.checkpoints.roots).toEqual(['two'])
})

it('is not kept from the task: in the end the newest checkpoint goes, and has to be made again', async () => {
  const { attempt, store, released } = setup()
  checkpoint(attempt, 'one', 200)
  checkpoint(attempt, 'two', 200)
  writes(attempt, 700)
  await keepToDisk(attempt, store)
  expect(released).toEqual(['one of a.1 checkpoint'])
  expect(attempt.checkpoints.pending).toMatchObject({ seq: 2, root: 'two' })
  expect(attempt.checkpoints.missed).toBe(false)
  writes(attempt, 900)
  await keepToDisk(attempt, store)
  expect(released).toEqual(['one of a.1 checkpoint', 'two of a.1 checkpoint'])
  expect(copiesRoom(attempt)).toBe(100 * KIB)
  expect(attempt.checkpoints.pending).toBeUndefined()
  expect(attempt.checkpoints.missed).toBe(true)
  checkpoint(attempt, 'three', 100)
  expect(attempt.checkpoints.pending).toMatchObject({ seq: 3, root: 'three' })
  expect(attempt.checkpoints.missed).toBe(false)
})
