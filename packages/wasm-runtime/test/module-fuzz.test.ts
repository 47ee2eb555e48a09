import { readFile } from 'node:fs/promises'
import { ManyhandsError } from '@manyhands/core'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { rewriteModule } from '../src/module-rewrite.ts'
import { testProgram } from './programs.ts'

const program = new Uint8Array(await readFile(await testProgram()))

function outcomeOf(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    rewriteModule(bytes, 'image')
    return 'rewritten'
  } catch (error) {
    return error instanceof ManyhandsError ? error.code : String(error)
  }
}

it('a damaged module is rewritten or refused, never a crash', () => {
  const damage = fc.array(fc.tuple(fc.nat({ max: program.length - 1 }), fc.nat({ max: 255 })), {
    minLength: 1,
    maxLength: 8,
  })
  fc.assert(
    fc.property(damage, fc.nat({ max: program.length }), (changes, length) => {
      const bytes = program.slice(0, length || program.length)
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      expect(['rewritten', 'IMAGE_INVALID']).toContain(outcomeOf(bytes))
    }),
    { numRuns: 500 },
  )
})

it('a whole module stays valid when it is rewritten', () => {
  expect(WebAssembly.validate(program)).toBe(true)
  expect(WebAssembly.validate(rewriteModule(program, 'image').bytes)).toBe(true)
})

it('bytes of any kind are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect(outcomeOf(Uint8Array.from(bytes))).toBe('IMAGE_INVALID')
    }),
  )
})
