import type { ComplianceFixture } from './fixture.ts'
import type { ComplianceEgress, CompliancePrograms } from './programs.ts'

/** The matchers that the suite uses; vitest's `expect` and Jest's have them. */
export interface Matchers {
  toBe(expected: unknown): void
  toEqual(expected: unknown): void
  toMatchObject(expected: object): void
  toContain(expected: unknown): void
  toMatch(expected: RegExp): void
  toBeGreaterThan(expected: number): void
  toBeLessThanOrEqual(expected: number): void
}

export type Expect = (value: unknown, message?: string) => Matchers

export interface CaseContext<Needs extends keyof CompliancePrograms> {
  fixture: ComplianceFixture
  programs: Required<Pick<CompliancePrograms, Needs>>
  expect: Expect
  /** Only there for runtimes that keep the profile. */
  egress: ComplianceEgress | undefined
}

/** One promise of the contract: the programs it needs and how it is shown. */
export interface ComplianceCase {
  readonly needs: readonly (keyof CompliancePrograms)[]
  run(context: CaseContext<keyof CompliancePrograms>): Promise<void>
}

export function complianceCase<const Needs extends keyof CompliancePrograms>(
  needs: readonly Needs[],
  run: (context: CaseContext<Needs>) => Promise<void>,
): ComplianceCase {
  // The suite hands over every program and checks `needs` first, so a case sees those it names.
  return { needs, run: run as unknown as ComplianceCase['run'] }
}

/** The `code` of what a promise rejects with; undefined when it fulfils. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(() => undefined, codeIn)
}

/** The `code` of an error, or the error itself when it has none. */
export function codeIn(error: unknown): unknown {
  return (error as { code?: unknown }).code ?? error
}
