import { Command } from 'commander'
import type { Interruption } from './interruption.ts'
import type { Output } from './output.ts'

/** The process around the program: the only place where environment and directories come from. */
export interface ProgramContext {
  output: Output
  interruption: Interruption
  env: Record<string, string | undefined>
  cwd: string
  stdin: AsyncIterable<Uint8Array>
}

/** What a command gets to work with. */
export interface CommandContext extends ProgramContext {
  version: string
  /** What follows `--`, when there is one. */
  rest: string[] | undefined
  /** Sets the exit code; without it, 0. */
  exit(code: number): void
}

/** A command with the options that every command has. */
export function defineCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--json', 'print one JSON document')
    .option('--jsonl', 'print JSON lines, one per event')
    .option('--debug', 'print stack traces of errors')
}

/** For options that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value]
