import { availableParallelism, release, totalmem } from 'node:os'
import { formatByteSize } from '@manyhands/core'
import { type Check, ok } from './check.ts'

export function computerCheck(): Check {
  const cores = availableParallelism()
  const memory = formatByteSize(totalmem())
  const system = `${process.platform} ${process.arch}, kernel ${release()}`
  return ok('computer', `${cores} cores, ${memory} memory, ${system}`)
}
