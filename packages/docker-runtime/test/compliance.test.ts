import process from 'node:process'
import { runtimeCompliance } from '@manyhands/testing/runtime-compliance'
import { describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { BUSYBOX_PROGRAMS } from './busybox-programs.ts'
import { egressForTests, LOOPBACK } from './egress-for-tests.ts'
import { engineForTests, leftovers } from './engine-for-tests.ts'

const egress = await egressForTests()

describe.skipIf(!(await engineForTests({ announce: true })))('with an engine', () => {
  runtimeCompliance(
    {
      name: 'docker()',
      create: () => docker(LOOPBACK),
      programs: BUSYBOX_PROGRAMS,
      egress,
      leftovers,
      print: (line) => process.stderr.write(`${line}\n`),
    },
    { describe, it, expect },
  )
})
