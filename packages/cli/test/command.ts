import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))

// biome-ignore lint/suspicious/noExplicitAny: documents are looked at with matchers
export type Line = Record<string, any>

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** A command that runs: the real program from its sources, in a process of its own. */
export interface Running {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  /** The JSON lines of stdout so far. */
  lines(): Line[]
  stderr(): string
  /** The first line that fits; rejects when the command ends before. */
  line(fits: (line: Line) => boolean): Promise<Line>
}

/** Directory of one test file; every command keeps its state there. Removes it and ends what runs. */
export async function commandRoom() {
  const directory = await mkdtemp(join(tmpdir(), 'manyhands-cli-'))
  const running = new Set<ChildProcess>()

  function start(args: string[], env: Record<string, string> = {}, stdin?: string): Running {
    const child = spawn(process.execPath, ['--conditions=@manyhands/source', MAIN, ...args], {
      cwd: directory,
      env: { PATH: process.env['PATH'], MANYHANDS_HOME: join(directory, 'home'), ...env },
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    child.stdin?.end(stdin)
    running.add(child)
    let stdout = ''
    let stderr = ''
    const changed = new EventTarget()
    child.stdout!.setEncoding('utf8').on('data', (text) => {
      stdout += text
      changed.dispatchEvent(new Event('line'))
    })
    child.stderr!.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    const ended = new Promise<Ended>((resolve) => {
      child.once('close', (code) => {
        running.delete(child)
        resolve({ code, stdout, stderr })
        changed.dispatchEvent(new Event('line'))
      })
    })
    const lines = () =>
      stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
    return {
      process: child,
      ended,
      lines,
      stderr: () => stderr,
      line: (fits) =>
        new Promise((resolve, reject) => {
          const look = () => {
            const found = lines().find(fits)
            if (found === undefined && running.has(child)) return
            changed.removeEventListener('line', look)
            if (found !== undefined) resolve(found)
            else reject(new Error(`no such line before the end:\n${stdout}\n${stderr}`))
          }
          changed.addEventListener('line', look)
          look()
        }),
    }
  }

  return {
    directory,
    path: (...parts: string[]) => join(directory, ...parts),
    start,
    run: (...args: string[]) => start(args).ended,
    async [Symbol.asyncDispose]() {
      for (const child of running) child.kill('SIGKILL')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The JSON lines of what a command wrote. */
export const linesOf = ({ stdout }: Ended): Line[] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
