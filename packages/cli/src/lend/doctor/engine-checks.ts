import type { EngineReport } from '@manyhands/docker-runtime'
import { type Check, type Examiner, ok, warn } from './check.ts'

/** Where an engine was looked for, what was found there, and what holds its containers. */
export const engineChecks: Examiner = ({ engines }) => {
  if (engines === undefined) return []
  const { engine, tried } = engines
  const places = tried.map(({ where, answers, detail }) =>
    // What to do about each would fill a page; one engine is enough.
    answers ? `${where}: answers` : `${where}: ${detail?.split(':')[0]}`,
  )
  // That none answers is what the runtime's own check says; here is where it was looked for.
  if (engine === undefined) return [ok('engines tried', places.join('; ') || 'none')]
  return [ok('engines tried', places.join('; ')), engineCheck(engine), securityCheck(engine)]
}

function engineCheck(engine: EngineReport): Check {
  const { kind, version, apiVersion, kernel, system, cgroup, storage } = engine
  const said = (name: string, value: string | undefined) => `${name} ${value ?? 'unknown'}`
  return ok(
    'engine',
    [
      said(kind, version),
      said('API', apiVersion),
      said('kernel', kernel),
      said('cgroup v', cgroup).replace('v ', 'v'),
      said('storage', storage),
      system ?? 'system unknown',
      engine.local ? 'on this computer' : 'reached over the network',
    ].join(', '),
  )
}

/** Only what the engine says: it takes any profile without a word, also where none is obeyed. */
function securityCheck({ securityOptions }: EngineReport): Check {
  const option = (name: string) =>
    securityOptions.find((text) => new RegExp(`(^|,)name=${name}(,|$)`).test(text))
  const seccomp = option('seccomp')
  const mandatory = option('apparmor') ?? option('selinux')
  const told = securityOptions.map((text) => text.replace(/^name=/, '')).join('; ') || 'none'
  const detail = `the engine names: ${told}`
  if (seccomp === undefined || seccomp.includes('unconfined')) {
    return warn(
      'security options',
      `${detail}; no seccomp profile`,
      'Use a kernel with seccomp and the default profile of the engine: it is what keeps system calls from tasks.',
    )
  }
  if (mandatory === undefined) {
    return warn(
      'security options',
      `${detail}; neither AppArmor nor SELinux`,
      'Enable one of them in the kernel, or lend with --isolation runsc.',
    )
  }
  return ok('security options', detail)
}
