import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Core, coresHere, idsIn, workedMs } from '../src/cores/core-list.ts'
import { CoreShelf } from '../src/cores/core-shelf.ts'

const idle = () => new Map<number, number>()
const cores = (count: number, change: (id: number) => Partial<Core> = () => ({})): Core[] =>
  Array.from({ length: count }, (_, id) => ({ id, speed: 1, physical: `${id}`, ...change(id) }))
const shelf = (count: number, change?: (id: number) => Partial<Core>) =>
  new CoreShelf(cores(count, change), idle)

describe('the shelf of cores', () => {
  it('gives as many as are asked for, rounded up, to nobody else', () => {
    const four = shelf(4)
    expect(four.take('a', 1)).toBe('3')
    expect(four.take('b', 2)).toBe('1,2')
    expect(four.take('c', 0.2)).toBe('0')
    expect(four.take('d', 0.8)).toBe('0')
    expect(four.take('e', 0.1)).toBeUndefined()
    four.release('a')
    expect(four.take('e', 0.1)).toBe('3')
  })

  it('binds nobody who needs all of them, or more than are free', () => {
    expect(shelf(2).take('a', 2)).toBeUndefined()
    expect(shelf(1).take('a', 0.5)).toBeUndefined()
    expect(shelf(0).take('a', 1)).toBeUndefined()
    const three = shelf(3)
    three.take('a', 1.5)
    expect(three.take('b', 1.5)).toBeUndefined()
  })

  it('gives the same to who asks again, and others to who asks for more', () => {
    const four = shelf(4)
    expect(four.take('a', 1)).toBe(four.take('a', 1))
    expect(four.change('a', 0.5).list).toBeUndefined()
    expect(four.take('b', 0.5)).toBe('3')
    expect(four.change('a', 3).list).toBe('0,1,2')
    expect(four.change('a', 4).list).toBe('0,1,2,3')
    expect(four.holds('a')).toBe(false)
    expect(four.change('a', 1).list).toBeUndefined()
  })

  it('takes a change back that could not be made', () => {
    const four = shelf(4)
    four.take('a', 1)
    const { undo } = four.change('a', 3)
    undo()
    expect(four.take('a', 1)).toBe('3')
    expect(four.take('b', 3)).toBe('0,1,2')
  })

  it('knows what a container of an earlier process has', () => {
    const two = shelf(3)
    two.adopt('a', 2, '1-2')
    two.adopt('b', 1, '')
    two.adopt('c', 1, '0-2')
    expect(two.take('d', 1)).toBe('0')
  })

  it('takes fast cores first, and halves of one core last', () => {
    const mixed = shelf(4, (id) => ({ speed: id < 2 ? 1 : 0.5 }))
    expect(mixed.take('a', 1)).toBe('1')
    const paired = shelf(4, (id) => ({ physical: `${id >> 1}` }))
    expect([paired.take('a', 1), paired.take('b', 1)]).toEqual(['3', '1'])
  })

  it('takes what nobody uses before what somebody uses', async () => {
    const worked = new Map([0, 1, 2].map((id) => [id, 0]))
    const three = new CoreShelf(cores(3), () => new Map(worked))
    three.take('a', 1)
    three.release('a')
    worked.set(2, 1e9)
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(three.take('b', 1)).toBe('1')
  })

  it('never gives a core to more than it has time for', () => {
    const asked = fc.array(fc.tuple(fc.nat(9), fc.double({ min: 0.05, max: 5, noNaN: true })))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), asked, (count, takes) => {
        const some = shelf(count)
        const held = new Map<string, { ids: number[]; cpus: number }>()
        for (const [who, cpus] of takes) {
          const holder = `${who}`
          if (held.delete(holder)) some.release(holder)
          else {
            const ids = idsIn(some.take(holder, cpus) ?? '')
            if (ids.length > 0) expect(ids).toHaveLength(Math.ceil(cpus))
            held.set(holder, { ids, cpus })
          }
          for (let id = 0; id < count; id += 1) {
            const load = [...held.values()]
              .filter(({ ids }) => ids.includes(id))
              .reduce((sum, { ids, cpus }) => sum + cpus / ids.length, 0)
            expect(load).toBeLessThanOrEqual(1.001)
          }
        }
      }),
    )
  })
})

describe('the list of cores', () => {
  it('is read from the kernel', async () => {
    const root = `${await mkdtemp(join(tmpdir(), 'manyhands-cores-'))}/`
    const files: Record<string, string> = {
      'proc/self/status': 'Name:\tnode\nCpus_allowed_list:\t0-1,3\n',
      'proc/stat': 'cpu  9 9 9 9 9 9 9\ncpu0 1 2 3 100 50 4 5 0\ncpu3 1 0 0 0 0 0 0 0\nintr 1\n',
      'sys/devices/system/cpu/cpu0/topology/thread_siblings_list': '0,3\n',
      'sys/devices/system/cpu/cpu3/topology/thread_siblings_list': '0,3\n',
      'sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq': '4000000\n',
      'sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq': '2000000\n',
      'sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq': '4000000\n',
    }
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(root + path), { recursive: true })
      await writeFile(root + path, content)
    }
    expect(coresHere(root)).toEqual([
      { id: 0, speed: 1, physical: '0' },
      { id: 1, speed: 0.5, physical: '1' },
      { id: 3, speed: 1, physical: '0' },
    ])
    expect([...workedMs(root)]).toEqual([
      [0, 150],
      [3, 10],
    ])
    await rm(root, { recursive: true })
    expect(coresHere(root)).toEqual([])
    expect([...workedMs(root)]).toEqual([])
  })

  it.runIf(process.platform === 'linux')('is that of this computer', () => {
    expect(coresHere()).toHaveLength(availableParallelism())
    expect(workedMs().size).toBeGreaterThanOrEqual(availableParallelism())
  })

  it('takes no list that is none', () => {
    expect(idsIn('0-2,5')).toEqual([0, 1, 2, 5])
    for (const none of ['', 'x', '3-1', '-1', '1-']) expect(idsIn(none)).toEqual([])
  })
})
