import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { atExit } from './at-exit.ts'

const BUILT = new URL('../../packages/cli/dist/main.js', import.meta.url)
const BIN = new URL('../../packages/cli/bin/manyhands.js', import.meta.url).pathname

if (!existsSync(BUILT)) {
  process.stderr.write('The command runs from its sources, which takes it longer: npm run build\n')
}

/** A line of `--jsonl`. */
export type CommandLine = Record<string, unknown>

export interface CommandOptions {
  /** The command that runs a program where this one is to be. */
  inside?: string[]
  env?: Record<string, string>
  /** Hears of each line when it is there; `at` as of `performance.now()`. */
  onLine?: (heard: { line: CommandLine; at: number; interrupt: () => void }) => void
}

export interface CommandRun {
  lines: CommandLine[]
  startedAt: number
  exitCode: number
  /** What it said to people. */
  said: string
}

/** Runs `manyhands` in a process of its own to its end. */
export async function runCommand(args: string[], options: CommandOptions): Promise<CommandRun> {
  const [program, ...rest] = [...(options.inside ?? []), process.execPath, BIN, ...args]
  const startedAt = performance.now()
  const child = spawn(program!, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  const exited = once(child, 'exit')
  const exit = atExit(() => child.kill('SIGKILL'))
  child.once('exit', () => exit.cancel())
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  const lines: CommandLine[] = []
  const interrupt = () => child.kill('SIGINT')
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as CommandLine
    lines.push(line)
    options.onLine?.({ line, at: performance.now(), interrupt })
  }
  const [exitCode] = await exited
  return { lines, startedAt, exitCode, said }
}
