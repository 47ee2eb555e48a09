import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gpuIdsOf } from '../src/container-template.ts'
import { Gpus, gpuDriver, parseNvidiaSmi } from '../src/gpu-query.ts'
import { sh } from './busybox-programs.ts'
import { engineForTests } from './engine-for-tests.ts'
import { canStart, OwnDocker } from './own-engines.ts'
import { SandboxForTests } from './sandbox-for-tests.ts'

const MIB = 1024 ** 2
const TWO = 'GPU-aa-1, NVIDIA RTX 4090, 24564, 50\nGPU-bb-2, NVIDIA RTX 3060, 12288, 10\n'

describe('what nvidia-smi says', () => {
  it('becomes GPUs by their ids', () => {
    expect(parseNvidiaSmi(TWO)).toEqual([
      { id: 'GPU-aa-1', model: 'NVIDIA RTX 4090', memoryBytes: 24564 * MIB, utilization: 0.5 },
      { id: 'GPU-bb-2', model: 'NVIDIA RTX 3060', memoryBytes: 12288 * MIB, utilization: 0.1 },
    ])
  })

  it.for([
    '',
    'No devices were found\n',
    'GPU-aa, X, [N/A], 3\n',
    'GPU-aa, X, 0, 3\n',
    'GPU-aa, X, 5\n',
    '--privileged, X, 100, 3\n',
  ])('%j becomes none', (text) => {
    expect(parseNvidiaSmi(text)).toEqual([])
  })

  it('may leave out how much is in use', () => {
    expect(parseNvidiaSmi('GPU-aa, X, 1, [N/A]\n')).toEqual([
      { id: 'GPU-aa', model: 'X', memoryBytes: MIB },
    ])
  })
})

describe('GPUs', () => {
  it('are asked for once however many want to know, and give a mean of those asked for', async () => {
    let asked = 0
    const gpus = new Gpus(async () => {
      asked += 1
      return parseNvidiaSmi(TWO)
    }, 60_000)
    expect(await Promise.all([gpus.use(['GPU-aa-1', 'GPU-bb-2']), gpus.use(['GPU-bb-2'])])).toEqual(
      [0.3, 0.1],
    )
    expect(await gpus.use(['GPU-aa-1', 'GPU-gone'])).toBe(undefined)
    expect(await gpus.use([])).toBe(undefined)
    expect(asked).toBe(1)
  })

  it('are none where the driver fails', async () => {
    const gpus = new Gpus(() => Promise.reject(new Error('no driver')))
    expect(await gpus.devices()).toEqual([])
  })

  it.for([
    [{ Runtimes: { nvidia: { path: 'nvidia-container-runtime' } } }, 'runc', 'nvidia'],
    [{ CDISpecDirs: ['/etc/cdi'] }, 'userns', 'cdi'],
    [{ CDISpecDirs: [] }, 'runc', undefined],
    [{ Runtimes: { nvidia: {} } }, 'gvisor', undefined],
    [{ Runtimes: { nvidia: {} } }, 'unknown', undefined],
    [{ Runtimes: { nvidia: {} }, BuildahVersion: '1' }, 'runc', undefined],
  ] as const)('of an engine that says %j under %s are given by %s', ([info, level, driver]) => {
    expect(gpuDriver(info as never, level)).toBe(driver)
  })

  it('of a container are told from what it was created with', () => {
    const request = (DeviceIDs: string[]) => ({ DeviceIDs }) as never
    expect(gpuIdsOf([request(['GPU-1']), request(['nvidia.com/gpu=GPU-2'])])).toEqual([
      'GPU-1',
      'GPU-2',
    ])
    expect(gpuIdsOf(undefined)).toEqual([])
  })
})

const query = () => Promise.resolve(parseNvidiaSmi(TWO))

describe.skipIf(!(await engineForTests()))('an engine without a driver for GPUs', () => {
  it('offers none, and says what to do to who asks all the same', async () => {
    await using sandbox = await SandboxForTests.open({ gpus: { query } })
    expect((await sandbox.runtime.fingerprint()).gpus).toEqual([])
    expect(sandbox.runtime.capabilities.gpus).toBe(false)
    await expect(sandbox.start(sh('true'), { gpuIds: ['GPU-aa-1'] })).rejects.toMatchObject({
      code: expect.stringMatching(/UNSUPPORTED|RUNTIME_FAILED/),
    })
    expect(await sandbox.runtime.list()).toEqual([])
  })
})

describe.skipIf(!canStart('dockerd'))('an engine with NVIDIA’s runtime', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'manyhands-gpus-'))
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('offers what the driver has, and a start that it refuses is told with a hint', async () => {
    // Registered, but with nothing behind: as where the driver was removed.
    const path = join(directory, 'nvidia-container-runtime')
    await writeFile(path, '#!/bin/sh\nexec runc "$@"\n')
    await chmod(path, 0o755)
    await using engine = await OwnDocker.start({ runtimes: { nvidia: { path } } })
    const { socketPath } = engine
    await using sandbox = await SandboxForTests.open({ socketPath, gpus: { query } })
    expect(sandbox.runtime.capabilities.gpus).toBe(true)
    expect((await sandbox.runtime.fingerprint()).gpus).toEqual([
      { id: 'GPU-aa-1', model: 'NVIDIA RTX 4090', memoryBytes: 24564 * MIB },
      { id: 'GPU-bb-2', model: 'NVIDIA RTX 3060', memoryBytes: 12288 * MIB },
    ])
    await expect(sandbox.start(sh('true'), { gpuIds: ['GPU-aa-1'] })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      hint: expect.stringMatching(/nvidia-container-toolkit/),
    })
    expect(await sandbox.runtime.list()).toEqual([])
    await using none = await SandboxForTests.open({ socketPath, gpus: false })
    expect(none.runtime.capabilities.gpus).toBe(false)
  })
})
