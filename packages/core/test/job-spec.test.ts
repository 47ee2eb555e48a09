import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManyhandsError } from '../src/errors.ts'
import type { JobSpec } from '../src/job-spec.ts'
import { validateJobSpec, validateTaskSpec } from '../src/validate-job-spec.ts'

const good: JobSpec = { image: 'busybox:1', tasks: '1-3' }

function refusal(spec: unknown): ManyhandsError {
  try {
    validateJobSpec(spec as JobSpec)
  } catch (error) {
    if (error instanceof ManyhandsError) return error
    throw error
  }
  throw new Error('was accepted')
}

describe('validateJobSpec', () => {
  it('accepts every documented field', () => {
    const spec: JobSpec<number> = {
      ...good,
      name: 'a',
      key: 'k',
      runtime: 'docker',
      command: ['blender', '-b', '', 'ünï"code'],
      env: { HOME: '/tmp' },
      inputs: { '/in/a': './a', '/in/b': new Uint8Array(3), '/in/c': { text: 'x' } },
      outputs: ['/out/*.png'],
      tasks: [1, 2],
      task: (item) => ({ key: String(item) }),
      resources: { cpus: 0.5, memory: '1GiB', disk: 1000, gpus: 1, pids: 10 },
      timeout: '2h',
      retry: { attempts: 2 },
      hosts: {
        only: ['a'],
        deny: [],
        where: () => true,
        rank: () => 1,
        max: 3,
        perHost: 1,
        wait: 5,
      },
      networkProfile: { egress: ['example.org'] },
      validate: () => {},
      warm: { setup: ['load', '/in/a'], tasksPerSandbox: 5 },
      unit: 'frame',
    }
    expect(validateJobSpec(spec)).toMatchObject({ image: 'busybox:1', unit: 'frame' })
  })

  // [what is wrong, the field that the message names, what came]
  it.each([
    [{ ...good, image: '' }, 'spec.image', '""'],
    [{ ...good, image: undefined }, 'spec.image', 'nothing'],
    [{ ...good, tasks: 7 }, 'spec.tasks', '7'],
    [{ ...good, command: 'ls -l' }, 'spec.command', '"ls -l"'],
    [{ ...good, command: [] }, 'spec.command', '[]'],
    [{ ...good, command: ['a\0b'] }, 'spec.command.0', 'a\\u0000b'],
    [{ ...good, command: ['a'], args: ['b'] }, 'spec', 'exclude each other'],
    [{ ...good, env: { 'A B': 'x' } }, 'spec.env', 'A B'],
    [{ ...good, inputs: { '/etc/passwd': 'x' } }, 'spec.inputs', '/etc/passwd'],
    [{ ...good, inputs: { '/in/../x': 'x' } }, 'spec.inputs', '/in/../x'],
    [{ ...good, inputs: { '/in/a': 'x', '/in/a/b': 'y' } }, 'spec.inputs', 'inside another'],
    [{ ...good, outputs: ['/out/../x'] }, 'spec.outputs.0', '/out/../x'],
    [{ ...good, outputs: ['out'] }, 'spec.outputs.0', '"out"'],
    [{ ...good, resources: { cpus: -1 } }, 'spec.resources.cpus', '-1'],
    [{ ...good, resources: { cpu: 1 } }, 'spec.resources', "'cpu'"],
    [{ ...good, hosts: { perHost: 0 } }, 'spec.hosts.perHost', '0'],
    [{ ...good, warm: { setup: [] } }, 'spec.warm.setup', '[]'],
    [{ ...good, warm: { setup: 'load' } }, 'spec.warm.setup', '"load"'],
    [{ ...good, warm: { tasksPerSandbox: 0 } }, 'spec.warm.tasksPerSandbox', '0'],
    [{ ...good, warm: { tasks: 3 } }, 'spec.warm', "'tasks'"],
    [{ ...good, privileged: true }, 'spec', "'privileged'"],
    [{ ...good, networkProfile: 'host' }, 'spec.networkProfile', '"host"'],
    [{ ...good, task: 'x' }, 'spec.task', '"x"'],
    [null, 'spec', 'null'],
    ['text', 'spec', '"text"'],
  ])('refuses %j naming the field and what came', (spec, field, came) => {
    const error = refusal(spec)
    expect(error).toMatchObject({ code: 'SPEC_INVALID', blame: 'caller', exitCode: 2 })
    expect(error.message).toContain(field)
    expect(error.message).toContain(came)
  })

  it('never crashes, whatever comes, and never lets an unknown field through', () => {
    fc.assert(
      fc.property(fc.anything(), fc.string(), (value, key) => {
        try {
          const accepted = validateJobSpec({ ...good, [key]: value } as JobSpec)
          expect(Object.keys(accepted)).not.toContain('__proto__')
        } catch (error) {
          expect(error).toBeInstanceOf(ManyhandsError)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('shows what has no text form without asking it', () => {
    const value = { toString: 'no function', size: 1n }
    expect(refusal({ ...good, image: value }).message).toMatch(/spec\.image.*got an object/)
  })

  it('checks what a task function returns', () => {
    expect(() => validateTaskSpec({ comand: ['x'] } as never, 4)).toThrow(/task\(4\).*'comand'/)
    expect(validateTaskSpec({ key: 'a', args: ['1'] }, 0)).toEqual({ key: 'a', args: ['1'] })
  })
})
