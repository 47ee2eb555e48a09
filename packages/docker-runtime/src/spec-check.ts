import { ManyhandsError, type RuntimeSpec } from '@manyhands/core'

/** The driver's own ids: `GPU-5f0c…`, `0`, `MIG-…`. */
const GPU_ID = /^[A-Za-z0-9][A-Za-z0-9:._/-]{0,127}$/

/** Above these an engine's integers overflow; no computer has as much. */
const MOST = {
  cpus: 1_000_000,
  memoryBytes: Number.MAX_SAFE_INTEGER,
  diskBytes: Number.MAX_SAFE_INTEGER,
  pids: 2 ** 31,
} as const

/**
 * A host hands over specs that it has checked. The template checks again what would reach the engine
 * as something else: JSON writes `null` for a number that is none, and the engine reads that as "no
 * limit".
 *
 * @throws SPEC_INVALID, COMMAND_INVALID
 */
export function checkRuntimeSpec(spec: RuntimeSpec): void {
  const { resources, labels, env, gpuIds } = spec
  for (const name of Object.keys(MOST) as (keyof typeof MOST)[]) {
    const amount: unknown = resources?.[name]
    if (typeof amount !== 'number' || Number.isNaN(amount) || amount > MOST[name]) {
      throw invalid(`resources.${name}`, 'is no amount')
    }
  }
  const time: unknown = spec.maxRuntimeMs
  if (typeof time !== 'number' || Number.isNaN(time)) throw invalid('maxRuntimeMs', 'is no time')
  for (const name of ['client', 'job', 'attempt'] as const) {
    if (typeof labels?.[name] !== 'string') throw invalid(`labels.${name}`, 'is no text')
  }
  if (!isPlainRecord(env)) throw invalid('env', 'is no record of texts')
  for (const [name, value] of Object.entries(env)) checkVariable(name, value)
  if (!isListOf(gpuIds, (id) => GPU_ID.test(id))) throw invalid('gpuIds', 'are no ids of GPUs')
  checkArgv(spec.command)
  checkArgv(spec.args)
  if (spec.command !== undefined && (spec.command.length === 0 || spec.command[0] === '')) {
    throw new ManyhandsError('COMMAND_INVALID', 'the command names no program')
  }
}

function checkVariable(name: string, value: unknown): void {
  if (name === '' || /[=\0]/.test(name) || typeof value !== 'string' || value.includes('\0')) {
    throw invalid(
      'env',
      `${JSON.stringify(name.slice(0, 80))} is no name of a variable, or no text`,
    )
  }
}

function checkArgv(argv: unknown): void {
  if (argv === undefined || isListOf(argv, (text) => !text.includes('\0'))) return
  throw new ManyhandsError('COMMAND_INVALID', 'an argument holds a zero byte or is no text')
}

function isListOf(list: unknown, fits: (text: string) => boolean): list is string[] {
  return Array.isArray(list) && list.every((text) => typeof text === 'string' && fits(text))
}

function isPlainRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(field: string, what: string): ManyhandsError {
  return new ManyhandsError('SPEC_INVALID', `${field}: ${what}`)
}
