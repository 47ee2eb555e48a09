/**
 * The suite that every runtime passes: the promises of the `Runtime` contract, each as one test.
 */
import { ManyhandsError, type Runtime, type RuntimeCapabilities } from '@manyhands/core'
import type { ComplianceCase, Expect } from './runtime-compliance/case.ts'
import { CASES_OF_ABSENCE } from './runtime-compliance/cases-of-absence.ts'
import { CASES_OF_BOUNDS } from './runtime-compliance/cases-of-bounds.ts'
import { CASES_OF_CONTROL } from './runtime-compliance/cases-of-control.ts'
import { CASES_OF_RUNNING } from './runtime-compliance/cases-of-running.ts'
import { CASES_OF_WARMTH } from './runtime-compliance/cases-of-warmth.ts'
import { ComplianceFixture } from './runtime-compliance/fixture.ts'
import type { ComplianceEgress, CompliancePrograms } from './runtime-compliance/programs.ts'

export type { Expect, Matchers } from './runtime-compliance/case.ts'
export type {
  ComplianceEgress,
  ComplianceProgram,
  CompliancePrograms,
} from './runtime-compliance/programs.ts'

const CASES = {
  ...CASES_OF_RUNNING,
  ...CASES_OF_CONTROL,
  ...CASES_OF_ABSENCE,
  ...CASES_OF_BOUNDS,
  ...CASES_OF_WARMTH,
} satisfies Record<string, ComplianceCase>

export type ComplianceCaseName = keyof typeof CASES

const warm = (capable: RuntimeCapabilities) => capable.warm

/** A case that only makes sense for runtimes that can do this; for others it is left out. */
const ONLY_IF: Partial<Record<ComplianceCaseName, (capable: RuntimeCapabilities) => boolean>> = {
  'kill ends a paused task': (capable) => capable.pause === true,
  'a paused task uses no processor until it is resumed': (capable) => capable.pause === true,
  'a cooperative pause holds until it is resumed': (capable) => capable.pause === 'cooperative',
  'limits of a running task can be changed': (capable) => capable.limit,
  'outputs can be seen while the task runs': (capable) => capable.liveOutputs,
  'what is in the workspace before is there for the task, which may write to it': (capable) =>
    capable.restore,
  'another process takes a running task up again': (capable) => capable.recover,
  'a program can be run beside the task': (capable) => capable.exec,
  'paused time is no run time': (capable) => capable.pause !== false,
  'the longest run time holds without us': (capable) => capable.recover,
  'an end that nobody watched is told truthfully': (capable) => capable.recover,
  'secrets are files for the task alone and on no disk': (capable) => capable.secrets,
  'secrets are refused where they cannot be kept': (capable) => !capable.secrets,
  'egress reaches what is listed and nothing else': (capable) => capable.egress,
  'egress is refused where it cannot be kept': (capable) => !capable.egress,
  'a declared port is reached, another is not': (capable) => capable.dial,
  'a warm sandbox runs one task after another, each with its own /out and output': warm,
  'each task of a warm sandbox has its own inputs and variables': warm,
  'a setup runs once, and what it keeps is there for every task': warm,
  'a setup that fails is told, and leaves nothing': warm,
  'a warm sandbox ends with the first task that fails': warm,
  'kill ends a task of a warm sandbox, and the sandbox': warm,
  'each task of a warm sandbox has its longest run time and its disk quota': warm,
  'what a task of a warm sandbox leaves behind does not reach the next': warm,
  'a warm sandbox is used by one task at a time': warm,
  'usage of a task in a warm sandbox is its own': warm,
  'ports are refused where they cannot be reached': (capable) => !capable.dial,
}

/** The functions of a test runner, handed in so that this package depends on none. */
export interface TestRunner {
  describe(name: string, body: () => void): void
  it: {
    (name: string, body: () => Promise<void>, timeoutMs?: number): void
    skip(name: string, body?: () => Promise<void>): void
  }
  expect: Expect
}

export interface RuntimeComplianceOptions {
  /** What the suite calls the runtime. */
  name: string
  /** A fresh runtime, not yet opened. Called once or more per case. */
  create: () => Runtime | Promise<Runtime>
  programs: CompliancePrograms
  /** Cases that this runtime cannot show, each with its reason, which is printed. */
  skip?: Partial<Record<ComplianceCaseName, string>>
  /** Makes the destinations for runtimes that keep the profile `egress`. */
  egress?: ComplianceEgress
  /** Looks outside for what is left of this host instance: containers, volumes, processes. */
  leftovers?: (hostInstance: string) => Promise<string[]>
  /** Time for one case, default 30 s. */
  timeoutMs?: number
  /** Where the reasons of skipped cases go, a line each. They are part of the tests' names anyway. */
  print?: (line: string) => void
}

/**
 * Declares the suite. Call it at the top level of a test file.
 *
 * @example
 * import { describe, expect, it } from 'vitest'
 * runtimeCompliance({ name: 'mine', create: () => mine(), programs: { exit: (code) => ({ image, command: ['exit', `${code}`] }) }, skip: {…} }, { describe, it, expect })
 */
export function runtimeCompliance(options: RuntimeComplianceOptions, runner: TestRunner): void {
  const { describe, it, expect } = runner
  describe(`${options.name} keeps the runtime contract`, () => {
    for (const [name, entry] of Object.entries<ComplianceCase>(CASES)) {
      const reason = options.skip?.[name as ComplianceCaseName]
      const missing = entry.needs.filter((need) => options.programs[need] === undefined)
      if (reason !== undefined) {
        it.skip(`${name} (skipped: ${reason})`)
        options.print?.(`${options.name}: skipped "${name}": ${reason}`)
      } else {
        const run = () => runCase(name as ComplianceCaseName, missing, options, expect)
        it(name, run, options.timeoutMs)
      }
    }
  })
}

async function runCase(
  name: ComplianceCaseName,
  missing: readonly string[],
  options: RuntimeComplianceOptions,
  expect: Expect,
): Promise<void> {
  const fixture = await ComplianceFixture.open(options.create)
  const entry: ComplianceCase = CASES[name]
  try {
    if (ONLY_IF[name]?.(fixture.runtime.capabilities) === false) {
      options.print?.(`${options.name}: left out "${name}": its capabilities exclude it`)
      return
    }
    if (missing.length > 0) throw needsReason(name, missing)
    const programs = options.programs as Required<CompliancePrograms>
    await entry.run({ fixture, programs, expect, egress: options.egress })
    await fixture.removeAll()
    expect(await fixture.current.list(), 'sandboxes left behind').toEqual([])
  } finally {
    await fixture.close()
  }
  const left = await options.leftovers?.(fixture.context.hostInstance)
  expect(left ?? [], 'left behind outside').toEqual([])
}

function needsReason(name: string, missing: readonly string[]): ManyhandsError {
  const message = `"${name}" needs the programs ${missing.join(', ')}, or a reason in skip`
  return new ManyhandsError('USAGE', message)
}
