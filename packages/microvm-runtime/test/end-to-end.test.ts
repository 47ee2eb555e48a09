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

  it('goes on with what a task left that asked to be continued, as its own files', {
    timeout: 240_000,
  }, async () => {
    const { create, image } = machines!
    await using network = await createLocalNetwork({
      runtimes: () => [create()],
      client: { lease: { heartbeat: '3s' } },
    })
    const job = await network.client.submit({
      runtime: 'microvm',
      image,
      command: [
        '/bin/sh',
        '-c',
        [
          'cd /out; [ -e lost+found ] && exit 1; mkdir -p "state/a b"; cd state',
          'chmod 600 step 2>/dev/null; echo x >> step; cat step > "a b/copy of it"',
          // It may do with them what it likes: they are its own.
          'rm -f old; mv new old 2>/dev/null; touch new; echo "$(wc -l < step) $(id -u) $(stat -c %u:%g step)"',
          '[ $(wc -l < step) -ge 3 ] || exit 75',
        ].join('\n'),
      ],
      resources: { memory: '64MiB', disk: '16MiB' },
      outputs: ['/out/**'],
      retry: { attempts: 1 },
      checkpoint: { paths: ['/out/state/**'], every: '1h', continueCode: 75 },
      tasks: ['t'],
    })
    const [result] = await Array.fromAsync(job.results())
    expect(result!.error).toBeUndefined()
    expect(result).toMatchObject({ ok: true, attempts: 3 })
    const [lines, id, owner] = result!.stdoutTail.trim().split(' ')
    expect([lines, owner]).toEqual(['3', `${id}:${id}`])
    expect(Buffer.from(await result!.outputs.read('state/a b/copy of it')).toString()).toBe(
      'x\nx\nx\n',
    )
    expect(result!.outputs.files.map(({ path }) => path).sort()).toEqual([
      'state/a b/copy of it',
      'state/new',
      'state/old',
      'state/step',
    ])
  })
})
