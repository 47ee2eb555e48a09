import process from 'node:process'
import { runtimeCompliance } from '@manyhands/testing/runtime-compliance'
import { describe, expect, it } from 'vitest'
import { machineProcesses, machinesForTests } from './machines-for-tests.ts'
import { busyboxPrograms } from './programs.ts'

const machines = await machinesForTests({ announce: true })

describe.skipIf(machines === undefined)('with QEMU', () => {
  if (machines === undefined) return
  runtimeCompliance(
    {
      name: 'microvm()',
      create: () => machines.create(),
      programs: busyboxPrograms(machines.image),
      // The suite's directories are named after it; machines have their kernel open there.
      leftovers: () => machineProcesses('manyhands-compliance-'),
      print: (line) => process.stderr.write(`${line}\n`),
      timeoutMs: 240_000,
    },
    { describe, it, expect },
  )
})
