import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { WASM_LIMITS } from '../src/index.ts'
import { rewriteModule } from '../src/module-rewrite.ts'
import { MIB, openRuntime } from './harness.ts'
import { binaryOf, textModule } from './programs.ts'

const EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'

async function refusal(contents: Uint8Array | string): Promise<{ code: string; message: string }> {
  const { root, run } = await openRuntime()
  const image = join(root, 'image.wasm')
  await writeFile(image, contents)
  return run(['x'], { image }).then(
    () => ({ code: 'none', message: 'it ran' }),
    (error) => error,
  )
}

describe('an image is refused as invalid', () => {
  const start = '(func (export "_start"))'
  const cases: [string, Uint8Array | string, RegExp][] = [
    ['text', '#!/bin/sh\necho hello\n', /not a WebAssembly module/],
    ['nothing', '', /not a WebAssembly module/],
    ['half a header', Uint8Array.of(0, 0x61, 0x73, 0x6d, 1), /cut off/],
    ['a component', Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0), /component/],
    [
      'half a module',
      binaryOf(`(module ${start} (memory 1))`).subarray(0, 20),
      /well-formed|compile/,
    ],
    ['a library', binaryOf('(module (func (export "run")))'), /no function _start/],
    [
      'an import of the host',
      binaryOf(`(module (import "env" "system" (func (param i32))) ${start})`),
      /imports the function env\.system/,
    ],
    [
      'an unknown function of WASI',
      binaryOf(`(module (import "wasi_snapshot_preview1" "fd_steal" (func)) ${start})`),
      /fd_steal/,
    ],
    [
      'the interface before preview 1',
      binaryOf(`(module (import "wasi_unstable" "fd_write" (func)) ${start})`),
      /wasi_unstable\.fd_write/,
    ],
    [
      'an imported global',
      binaryOf(`(module (import "env" "g" (global i32)) ${start})`),
      /global env\.g/,
    ],
    ['two memories', binaryOf(`(module (memory 1) (memory 1) ${start})`), /2 memories/],
    ['a shared memory', binaryOf(`(module (memory 1 1 shared) ${start})`), /shared/],
    ['a memory of 64-bit addresses', binaryOf(`(module (memory i64 1) ${start})`), /64-bit/],
    ['a huge table', binaryOf(`(module (table 9000000 funcref) ${start})`), /tables of 9000000/],
    [
      'garbage-collected types',
      binaryOf(
        `(module (type $a (array i8)) (func (export "_start") (drop (array.new_default $a (i32.const 9)))))`,
      ),
      /garbage-collected/,
    ],
  ]
  it.each(cases)('%s', async (_name, contents, message) => {
    const error = await refusal(contents)
    expect(error.code).toBe('IMAGE_INVALID')
    expect(error.message).toMatch(message)
  })

  it('a directory', async () => {
    const { root, run } = await openRuntime()
    await expect(run(['x'], { image: root })).rejects.toMatchObject({ code: 'IMAGE_INVALID' })
  })

  it('and as not found when it is not there', async () => {
    const { root, run } = await openRuntime()
    const image = join(root, 'none.wasm')
    await expect(run(['x'], { image })).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
  })
})

describe('the memory of a module', () => {
  /** Grows by pages and exits with what memory.grow answered, as 0 (refused) or 1. */
  const grower = (memory: string, pages: number) =>
    textModule(`(module ${EXIT} ${memory} (func (export "_start")
      (call $exit (i32.ne (memory.grow (i32.const ${pages})) (i32.const -1)))))`)

  it.each([
    ['its own', '(memory 1)'],
    ['its own with a large maximum', '(memory 1 60000)'],
    ['imported', '(import "env" "memory" (memory 1))'],
    ['exported', '(memory (export "memory") 1)'],
  ])('grows to the cap and not beyond: %s', async (_name, memory) => {
    const { run } = await openRuntime()
    const memoryBytes = 4 * MIB
    const within = await run([], { image: await grower(memory, 63), memoryBytes })
    expect(within.exit.exitCode).toBe(1)
    const beyond = await run([], { image: await grower(memory, 64), memoryBytes })
    expect(beyond.exit.exitCode).toBe(0)
  })

  it('keeps a maximum of its own that is lower', async () => {
    const { run } = await openRuntime()
    const { exit } = await run([], { image: await grower('(memory 1 2)', 2) })
    expect(exit.exitCode).toBe(0)
  })

  it('that is too large from the start ends as out of memory', async () => {
    const { run } = await openRuntime()
    const image = await textModule('(module (memory 1000) (func (export "_start")))')
    const { exit, stderr } = await run([], { image, memoryBytes: 4 * MIB })
    expect(exit).toMatchObject({ oom: true, reason: 'exited' })
    expect(stderr).toContain('1000 pages')
  })

  it('keeps its data and works with tables and globals of the module', async () => {
    const { run } = await openRuntime()
    const image = await textModule(`(module ${EXIT}
      (global $g (mut i32) (i32.const 20)) (table 1 funcref) (elem (i32.const 0) $f)
      (memory (export "memory") 1) (data (i32.const 8) "\\2a")
      (func $f (result i32) (i32.load8_u (i32.const 8)))
      (func (export "_start")
        (drop (memory.grow (i32.const 1)))
        (call $exit (i32.add (global.get $g) (call_indirect (result i32) (i32.const 0))))))`)
    expect((await run([], { image })).exit.exitCode).toBe(62)
  })

  it('is none, and calls with pointers are answered', async () => {
    const { run } = await openRuntime()
    const image = await textModule(`(module ${EXIT}
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (func (export "_start") (call $exit (call $random (i32.const 0) (i32.const 1)))))`)
    expect((await run([], { image })).exit.exitCode).toBe(21)
  })
})

describe('a failure counts as out of memory', () => {
  const failing = (grow: number, ending: string, memory = '(memory 1)') =>
    textModule(`(module ${EXIT} ${memory} (func (export "_start")
      (drop (memory.grow (i32.const ${grow}))) ${ending}))`)
  const cases: [string, boolean, Promise<string>][] = [
    ['a trap after a refused growth', true, failing(1000, '(unreachable)')],
    ['an exit with a code after one', true, failing(1000, '(call $exit (i32.const 3))')],
    ['success after one: no', false, failing(1000, '(call $exit (i32.const 0))')],
    ['a trap after a growth that was granted: no', false, failing(60, '(unreachable)')],
    [
      'a refusal by the maximum of the module itself: no',
      false,
      failing(1000, '(unreachable)', '(memory 1 40)'),
    ],
  ]
  it.each(cases)('%s', async (_name, oom, image) => {
    const { run } = await openRuntime()
    const { exit } = await run([], { image: await image, memoryBytes: 4 * MIB })
    expect(exit.oom).toBe(oom)
  })

  it('with every kind of operand before the growth in the code', async () => {
    const { run } = await openRuntime()
    // Each constant contains the byte of memory.grow.
    const image = await textModule(`(module ${EXIT} (memory 1) (table $t 1 funcref)
      (func (export "_start") (local i32 i64 f32 f64 v128)
        (local.set 0 (i32.const 0x40)) (local.set 1 (i64.const 0x4040404040404040))
        (local.set 2 (f32.const 3.0039)) (local.set 3 (f64.const 32.25))
        (local.set 4 (v128.const i32x4 0x40404040 0x40004000 0x40 0x4000))
        (local.set 4 (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get 4) (local.get 4)))
        (drop (i8x16.extract_lane_s 3 (local.get 4)))
        (v128.store offset=64 align=1 (i32.const 0) (local.get 4))
        (memory.fill (i32.const 64) (i32.const 64) (i32.const 64))
        (memory.copy (i32.const 0) (i32.const 64) (i32.const 64))
        (drop (i32.trunc_sat_f64_s (local.get 3)))
        (drop (table.grow $t (ref.null func) (i32.const 64)))
        (block $b (loop $l (br_table $b $b (i32.const 64))))
        (drop (select (result i32) (i32.const 64) (i32.const 64) (i32.const 64)))
        (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then (call $exit (i32.const 64))))))`)
    const { exit } = await run([], { image, memoryBytes: 2 * MIB })
    expect(exit).toMatchObject({ exitCode: 64, oom: true })
  })

  it('also in code that is not understood, by the size that it had', async () => {
    const known = binaryOf(
      `(module (memory 1) (func (export "_start") (drop (memory.grow (i32.const 1)))))`,
    )
    expect(rewriteModule(known, 'known').memory?.growth).toBe('watched')
    const none = binaryOf('(module (memory 1) (func (export "_start")))')
    expect(rewriteModule(none, 'none').memory?.growth).toBe('never')
    // An instruction from a future proposal before the byte of memory.grow.
    const at = known.lastIndexOf(0x41)
    const future = known.slice()
    future[at] = 0xff
    expect(rewriteModule(future, 'future').memory?.growth).toBe('unknown')
  })
})

describe('what a module could take outside of its memory', () => {
  // Without these limits the heap of a thread runs full, which ends the host's whole process.
  it('its tables do not grow beyond the limit', async () => {
    const { run } = await openRuntime()
    const image = await textModule(`(module ${EXIT} (table $a 1 externref) (table $b 10 funcref)
      (func (export "_start")
        (loop $more (br_if $more (i32.ne (i32.const -1)
          (table.grow $a (ref.null extern) (i32.const 1000)))))
        (loop $more (br_if $more (i32.ne (i32.const -1)
          (table.grow $b (ref.null func) (i32.const 1000)))))
        (call $exit (i32.add (table.size $a) (table.size $b)))))`)
    const { exit } = await run([], { image })
    expect(exit.exitCode).toBeGreaterThan(WASM_LIMITS.tableEntries - 3000)
    expect(exit.exitCode).toBeLessThanOrEqual(WASM_LIMITS.tableEntries)
  })

  it('keeps a maximum of a table that is lower', async () => {
    const { run } = await openRuntime()
    const image = await textModule(`(module ${EXIT} (table $a 1 5 externref) (func (export "_start")
      (drop (table.grow $a (ref.null extern) (i32.const 4)))
      (drop (table.grow $a (ref.null extern) (i32.const 1)))
      (call $exit (table.size $a))))`)
    expect((await run([], { image })).exit.exitCode).toBe(5)
  })

  it('its exports are counted', async () => {
    const { moduleExports } = WASM_LIMITS
    const many = Array.from(
      { length: moduleExports },
      (_, index) => `(export "${index}" (func $f))`,
    )
    const text = `(module (func $f (export "_start")) ${many.join(' ')})`
    expect(await refusal(binaryOf(text))).toMatchObject({
      code: 'IMAGE_INVALID',
      message: expect.stringContaining(`${moduleExports + 1} exports`),
    })
  })
})
