import type { Check, Examiner, FoundRuntime } from './check.ts'
import { fail, ok } from './check.ts'

/** Which runtimes can be used. Without one there is nothing to lend. */
export const runtimeChecks: Examiner = ({ runtimes, engines }) =>
  runtimes.map((runtime) => {
    // An engine that answers and cannot be used lacks what was asked of it.
    const lacking = runtime.name === 'docker' && engines?.engine !== undefined
    return runtimeCheck(lacking ? { hint: LACKING, ...runtime } : runtime)
  })

const LACKING = 'Do what is said above, or choose another --isolation.'

function runtimeCheck({ name, fingerprint, hint }: FoundRuntime): Check {
  const { available, version, detail, attributes } = fingerprint
  const said = [version, detail].filter((part) => part !== undefined).join('; ')
  const check = available
    ? ok(`runtime ${name}`, said || 'available')
    : fail(`runtime ${name}`, said || 'not available', hint ?? todo(name))
  return { ...check, runtime: name, attributes }
}

const todo = (runtime: string) =>
  runtime === 'docker'
    ? 'Start Docker or Podman, and let this user reach its socket; or lend with --runtime wasm alone.'
    : `Install what the runtime ${runtime} needs.`
