import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { exitFacts } from '../src/exit-facts.ts'
import { parseEndRecord } from '../src/init/end-record.ts'
import { INIT_BINARIES } from '../src/init/init-binaries.ts'
import { installInit } from '../src/init/init-program.ts'

const ARCHITECTURES = Object.keys(INIT_BINARIES) as (keyof typeof INIT_BINARIES)[]
const BUILD = new URL('../../../scripts/build-init.sh', import.meta.url).pathname
/** Runs a program of the architecture here; qemu for the one that this computer is not. */
const RUNNERS = {
  amd64: process.arch === 'x64' ? [] : ['qemu-x86_64-static'],
  arm64: process.arch === 'arm64' ? [] : ['qemu-aarch64-static'],
}
const COMPILERS = { amd64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' }

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-init-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

/** Says in a visible line why a test cannot run here. */
function skipped(why: string | undefined): boolean {
  if (why !== undefined) process.stderr.write(`init tests skipped: ${why}\n`)
  return why !== undefined
}

function firstLine(command: string): string | undefined {
  const { stdout, status } = spawnSync(command, ['--version'], { encoding: 'utf8' })
  return status === 0 ? stdout.split('\n')[0] : undefined
}

describe('the embedded first process', () => {
  it.for(ARCHITECTURES)('for %s is small and unpacked with its own bytes', async (architecture) => {
    const path = await installInit(directory, architecture)
    const bytes = await readFile(path)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      INIT_BINARIES[architecture].sha256,
    )
    expect(bytes.length).toBeLessThan(60_000)
    expect((await stat(path)).mode & 0o777).toBe(0o755)
    expect(await readdir(directory)).toHaveLength(1)
  })

  it('is replaced whole where it was damaged, and left alone where it was not', async () => {
    const path = await installInit(directory, 'amd64')
    const before = await stat(path)
    expect((await stat(await installInit(directory, 'amd64'))).ino).toBe(before.ino)
    await writeFile(path, 'damaged')
    expect(await installInit(directory, 'amd64')).toBe(path)
    expect((await readFile(path)).length).toBe(INIT_BINARIES.amd64.bytes)
  })

  it('does not exist for other architectures', async () => {
    for (const architecture of ['riscv64', '__proto__', '']) {
      await expect(installInit(directory, architecture)).rejects.toMatchObject({
        code: 'RUNTIME_UNAVAILABLE',
      })
    }
  })

  for (const architecture of ARCHITECTURES) {
    const compiler = COMPILERS[architecture]
    const version = firstLine(compiler)
    const why =
      version === undefined
        ? `${compiler} is not installed`
        : version !== INIT_BINARIES[architecture].compiler
          ? `${compiler} is another version than the one that built it`
          : undefined
    it.skipIf(skipped(why))(`for ${architecture} is what its source compiles to`, async () => {
      execFileSync(BUILD, [directory], { env: { ...process.env, TARGETS: architecture } })
      const built = await readFile(join(directory, `manyhands-init-${architecture}`))
      const embedded = await readFile(await installInit(directory, architecture))
      expect(built.equals(embedded), 'run scripts/embed-init.ts').toBe(true)
    })

    const [runner] = RUNNERS[architecture]
    const cannot =
      runner !== undefined && firstLine(runner) === undefined ? `${runner} is missing` : undefined
    it.skipIf(skipped(cannot))(
      `for ${architecture} runs programs and passes codes on`,
      async () => {
        const path = await installInit(directory, architecture)
        const run = (...args: string[]) => {
          const [program, ...rest] = [...RUNNERS[architecture], path, ...args]
          return spawnSync(program!, rest, { encoding: 'utf8', timeout: 20_000 })
        }
        const order = (ms: string, ...argv: string[]) => run('run', ms, '/', '-', '--', ...argv)
        expect(order('9000', 'sh', '-c', 'pwd; exit 7')).toMatchObject({ status: 7, stdout: '/\n' })
        expect(order('9000', '/bin/sh', '-c', 'kill -9 $$').status).toBe(137)
        expect(order('9000', 'no-such-program').status).toBe(127)
        expect(order('9000', '/etc/passwd').status).toBe(126)
        expect(run('nonsense').status).toBe(125)
      },
    )
  }
})

describe('the record of an end', () => {
  it('counts only where it agrees with what the engine tells', () => {
    const ended = (ExitCode: number) => ({
      found: { State: { ExitCode, OOMKilled: false } } as never,
      lost: false,
      interrupted: false,
    })
    const overdue = parseEndRecord('{"v":1,"state":"max-runtime","ms":5}')
    expect(exitFacts(ended(137), undefined, false, overdue).reason).toBe('max-runtime')
    expect(exitFacts(ended(0), undefined, false, overdue).reason).toBe('exited')
    const chosen = parseEndRecord('{"v":1,"state":"exited","code":137,"ms":5}')
    expect(exitFacts(ended(137), undefined, false, chosen).signal).toBe(undefined)
    expect(exitFacts(ended(139), undefined, false, chosen).signal).toBe('SIGSEGV')
    // What we did to it ourselves comes before anything that is written there.
    expect(exitFacts(ended(137), 'stopped', false, overdue).reason).toBe('stopped')
  })

  it('is read where the first process wrote it and nowhere else', () => {
    const line = (rest: string) => `{"v":1,${rest},"ms":12}${' '.repeat(20)}\n`
    expect(parseEndRecord(line('"state":"started"'))).toEqual({ state: 'started' })
    expect(parseEndRecord(line('"state":"exited","code":3'))).toEqual({
      state: 'exited',
      code: 3,
      ranMs: 12,
    })
    expect(parseEndRecord(line('"state":"max-runtime"'))?.state).toBe('max-runtime')
    const bad = ['', 'x', 'null', '1', '{}', '{"v":2,"state":"started","ms":1}']
    bad.push(line('"state":"exited"'), line('"state":"exited","code":-1'))
    bad.push(line('"state":"cannot-start","error":"x"'), '{"v":1,"state":"started"}')
    for (const text of bad) expect(parseEndRecord(text), text).toBe(undefined)
  })
})
