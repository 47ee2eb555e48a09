import { createLocalNetwork } from '@manyhands/testing'
import { describe, expect, it } from 'vitest'
import { machinesForTests } from './machines-for-tests.ts'

const machines = await machinesForTests()

describe.skipIf(machines === undefined)('client, host and machines', () => {
  it('runs a job whose image and input travel, and whose output comes back', {
    timeout: 240_000,
  }, async () => {
    const { create, image } = machines!
    await using network = await createLocalNetwork({
      runtimes: () => [create()],
      client: { lease: { heartbeat: '3s' } },
    })
    const seen: string[] = []
    for await (const result of network.client.map([3, 4], {
      runtime: 'microvm',
      image,
      inputs: { '/in/word.txt': { text: 'many hands' } },
      command: [
        '/bin/sh',
        '-c',
        'echo "$(cat /in/word.txt) {{item}}" >/out/line.txt; echo {{item}} done',
      ],
      resources: { memory: '64MiB', disk: '16MiB' },
      outputs: ['/out/line.txt'],
    })) {
      expect(result.stdoutTail).toBe(`${result.item} done\n`)
      seen.push(Buffer.from(await result.outputs.read('line.txt')).toString())
    }
    expect(seen.sort()).toEqual(['many hands 3\n', 'many hands 4\n'])
  })
})
