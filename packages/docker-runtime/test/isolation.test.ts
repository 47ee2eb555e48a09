import { describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { chooseIsolation, engineAttributes } from '../src/isolation.ts'
import { engineForTests } from './engine-for-tests.ts'

const RUNC = { runc: { path: 'runc' } }
const SHIMS = {
  'io.containerd.runsc.v1': {},
  'io.containerd.kata-fc.v2': {},
  'io.containerd.evil.v1': {},
}

describe('isolation', () => {
  it.for([
    [{ DefaultRuntime: 'runc', Runtimes: RUNC }, 'runc'],
    [{ DefaultRuntime: 'crun', Runtimes: { crun: { path: '/usr/bin/crun' } } }, 'runc'],
    [{ DefaultRuntime: 'runc', Runtimes: RUNC, SecurityOptions: ['name=userns'] }, 'userns'],
    [{ DefaultRuntime: 'runc', Runtimes: RUNC, SecurityOptions: ['name=rootless'] }, 'rootless'],
    [{ DefaultRuntime: 'runsc', Runtimes: { runsc: { path: '/usr/bin/runsc' } } }, 'gvisor'],
    [{ DefaultRuntime: 'x', Runtimes: { x: { path: '/opt/kata/bin/kata-runtime' } } }, 'kata'],
    [{ DefaultRuntime: 'io.containerd.runsc.v1', Runtimes: SHIMS }, 'gvisor'],
    [{ DefaultRuntime: 'io.containerd.kata-fc.v2', Runtimes: SHIMS }, 'kata'],
    [{ DefaultRuntime: 'io.containerd.evil.v1', Runtimes: SHIMS }, 'unknown'],
    // A name is no proof, and neither is a missing path.
    [{ DefaultRuntime: 'runsc', Runtimes: { runsc: { path: '/usr/bin/runc' } } }, 'runc'],
    [{ DefaultRuntime: 'runsc', Runtimes: { runsc: { path: '/opt/wrapper.sh' } } }, 'unknown'],
    [{ DefaultRuntime: 'runsc', Runtimes: { runsc: {} } }, 'unknown'],
    [
      { DefaultRuntime: 'x', Runtimes: { x: { path: '/y' } }, SecurityOptions: ['name=userns'] },
      'unknown',
    ],
    [{}, 'unknown'],
  ] as const)('of %j is %s', ([info, level]) => {
    expect(chooseIsolation(info as never)).toEqual({ ociRuntime: undefined, level })
  })

  it('chosen by its usual name is found under the engine’s', () => {
    const info = { Runtimes: { ...RUNC, ...SHIMS } }
    expect(chooseIsolation(info, 'runsc')).toEqual({
      ociRuntime: 'io.containerd.runsc.v1',
      level: 'gvisor',
    })
    expect(chooseIsolation(info, 'kata').level).toBe('kata')
    expect(chooseIsolation(info, 'runc')).toEqual({ ociRuntime: 'runc', level: 'runc' })
  })

  it.for(['runsc', 'kata', '__proto__', 'constructor'])(
    '%s that is not there is refused',
    (choice) => {
      expect(() => chooseIsolation({ Runtimes: RUNC }, choice)).toThrow(/has no OCI runtime/)
    },
  )

  it('is not believed to a Podman that would use its default', () => {
    const info = {
      BuildahVersion: '1.28',
      DefaultRuntime: 'crun',
      Runtimes: { crun: { path: '/usr/bin/crun' }, runsc: { path: '/usr/bin/runsc' } },
    }
    expect(() => chooseIsolation(info, 'runsc')).toThrow(/containers\.conf/)
    expect(chooseIsolation(info, 'crun').level).toBe('runc')
    expect(chooseIsolation({ ...info, DefaultRuntime: 'runsc' }, 'runsc').level).toBe('gvisor')
  })

  it('is advertised with what the engine says and nothing that it does not', () => {
    const info = {
      ServerVersion: '20.10',
      DefaultRuntime: 'runc',
      SecurityOptions: ['name=seccomp,profile=default', 'name=cgroupns'],
    }
    expect(engineAttributes(info, { ociRuntime: undefined, level: 'runc' })).toEqual({
      'docker.engine': 'docker',
      'docker.isolation': 'runc',
      'docker.oci-runtime': 'runc',
      'docker.version': '20.10',
      'docker.security': 'seccomp,cgroupns',
    })
  })
})

describe.skipIf(!(await engineForTests()))('an engine without the chosen isolation', () => {
  it('is unavailable and says what to do', async () => {
    const found = await docker({ isolation: 'no-such-runtime' }).fingerprint()
    expect(found.available).toBe(false)
    expect(found.detail).toMatch(/has no OCI runtime 'no-such-runtime': install it, .*daemon\.json/)
  })
})
