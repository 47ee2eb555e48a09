import type { TaskResult } from '@manyhands/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DockerNetwork } from './docker-network.ts'
import { engineForTests } from './engine-for-tests.ts'

/** What a task leaves below /out, by what becomes of it. */
const UNSAFE = {
  'a link to the owner’s file': 'ln -s /etc/passwd /out/a',
  'a link to itself': 'ln -s a /out/a',
  'a link to a directory': 'echo x >/out/b; ln -s / /out/a',
  'a link inside a directory': 'mkdir -p /out/d/e; ln -s ../../../.. /out/d/e/up',
  'a file with two names': 'echo x >/out/a; ln /out/a /out/b',
  'a pipe': '/bin/busybox mkfifo /out/a',
  'a name with a line break': 'touch "$(printf "/out/a\\nb")"',
  'a name that is no UTF-8': 'touch "$(printf "/out/\\377\\376")"',
  'a name in another form of Unicode': 'touch "$(printf "/out/e\\314\\201")"',
  'a name with a backslash': 'touch "/out/..\\\\..\\\\a"',
  'a thousand levels': 'cd /out; i=0; while [ $i -lt 1000 ]; do mkdir d && cd d; i=$((i+1)); done',
  'two names that differ by case': 'touch /out/Scene /out/scene',
}
const FAILED = {
  'a device': 'mknod /out/a c 1 3',
  'a second name of an input': 'ln /in/a /out/a',
  'a sparse file of 1 TiB': 'truncate -s 1T /out/a',
  'a directory outside': 'mkdir /out/../evil',
}
const FINE = {
  'the longest name': 'touch /out/$(printf "%0255d" 0)',
  'dots of another alphabet': 'mkdir "/out/․․" && echo x >"/out/․․/a"',
}
const EITHER = {
  'a file and a directory that nobody may read':
    'mkdir /out/d; echo x >/out/d/a; echo x >/out/b; chmod 0 /out/b /out/d',
  'a directory that becomes a link and back until the end':
    '(while :; do mkdir /out/a; echo x >/out/a/f; rm -r /out/a; ln -s /etc /out/a; rm /out/a; done) & sleep 0.5',
}
const TOO_MUCH = {
  'a million files':
    'mkdir /out/d; i=0; while [ $i -lt 1000000 ]; do : >/out/d/$i; i=$((i+1)); done',
  'a million directories':
    'i=0; while [ $i -lt 1000 ]; do (mkdir -p /out/$i; cd /out/$i; seq 1000 | xargs mkdir); i=$((i+1)); done',
}

const codes = (results: Map<string, TaskResult>) =>
  Object.fromEntries([...results].map(([key, { error }]) => [key, error?.code]))
const all = (scripts: Record<string, string>, code: string | undefined) =>
  Object.fromEntries(Object.keys(scripts).map((key) => [key, code]))

describe.skipIf(!(await engineForTests()))('outputs that are', () => {
  let network: DockerNetwork
  const run = (scripts: Record<string, string>) =>
    network.run(scripts, { outputs: ['/out/**'], inputs: { '/in/a': { text: 'mine' } } })
  beforeAll(async () => {
    network = await DockerNetwork.open()
  })
  afterAll(() => network[Symbol.asyncDispose]())

  it('no plain files and directories are refused', async () => {
    expect(codes(await run(UNSAFE))).toEqual(all(UNSAFE, 'OUTPUT_UNSAFE'))
    await network.settled()
  })

  it('impossible fail the task', async () => {
    const found = Object.entries(codes(await run(FAILED)))
    expect(found.filter(([, code]) => code !== 'TASK_FAILED' && code !== 'TASK_DISK')).toEqual([])
    expect(found).toHaveLength(Object.keys(FAILED).length)
    await network.settled()
  })

  it('only strange are taken', async () => {
    const results = await run(FINE)
    expect(codes(results)).toEqual(all(FINE, undefined))
    const files = [...results.values()].flatMap((result) => result.outputs.files)
    expect(new Set(files.map(({ path }) => path.length))).toEqual(new Set([4, 255]))
    await network.settled()
  })

  it('unreadable or changing are taken or refused, and nothing else is', async () => {
    for (const result of (await run(EITHER)).values()) {
      if (result.error !== undefined) {
        expect(result.error.code).toMatch(/^OUTPUT_(UNSAFE|MISSING)$/)
      }
      const outside = result.outputs.files.filter(({ path }) => !/^(a\/f|b|d\/a)$/.test(path))
      expect(outside).toEqual([])
    }
    await network.settled()
  })

  it('far too many end the task', async () => {
    // Small, because removing them takes longest.
    const resources = { cpus: 0.5, memory: '64MiB', disk: '1MiB', pids: 32 } as const
    expect(codes(await network.run(TOO_MUCH, { resources }))).toEqual(all(TOO_MUCH, 'TASK_DISK'))
    await network.settled()
  })
})
