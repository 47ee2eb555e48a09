import { type Check, fail, ok } from './check.ts'

const MIN_NODE = [22, 18] as const

export function nodeCheck(version: string): Check {
  const [major, minor] = version.split('.').map(Number) as [number, number]
  const enough = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])
  if (enough) return ok('node', version)
  return fail('node', version, `Install Node ${MIN_NODE.join('.')} or newer.`)
}
