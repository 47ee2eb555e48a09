import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import type { CommandContext, ProgramContext } from './command-context.ts'
import { blockCommand } from './commands/block.ts'
import { blockedCommand } from './commands/blocked.ts'
import { configCommand } from './commands/config.ts'
import { doctorCommand } from './commands/doctor.ts'
import { drainCommand } from './commands/drain.ts'
import { explainCommand } from './commands/explain.ts'
import { gcCommand } from './commands/gc.ts'
import { hostCommand } from './commands/host.ts'
import { hostsCommand } from './commands/hosts.ts'
import { killCommand } from './commands/kill.ts'
import { limitCommand } from './commands/limit.ts'
import { networkCommand } from './commands/network.ts'
import { pauseCommand } from './commands/pause.ts'
import { policyCommand } from './commands/policy.ts'
import { psCommand } from './commands/ps.ts'
import { resumeCommand } from './commands/resume.ts'
import { runCommand } from './commands/run.ts'
import { statsCommand } from './commands/stats.ts'
import { unblockCommand } from './commands/unblock.ts'
import { Interrupted } from './interruption.ts'

/** Parses the arguments, runs the command and returns the exit code. Never throws. */
export async function runProgram(argv: string[], context: ProgramContext): Promise<number> {
  const { own, rest } = splitArguments(argv)
  let code = 0
  const commandContext: CommandContext = {
    ...context,
    version: packageVersion(),
    rest,
    exit: (value) => {
      code = value
    },
  }
  try {
    await createProgram(commandContext).parseAsync(own, { from: 'user' })
    return code
  } catch (thrown) {
    if (thrown instanceof Interrupted) return 130
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0
    const { reportFailure } = await import('./failure.ts')
    return reportFailure(thrown, context.output, { debug: own.includes('--debug') })
  }
}

function createProgram(context: CommandContext): Command {
  const program = new Command('manyhands')
    .description('Lend and borrow computers, peer to peer.')
    .version(context.version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'explain a command')
    .addHelpText(
      'after',
      `
Exit codes: 0 ok, 1 job failed, 2 usage, 3 some tasks failed, 4 no hosts, 5 network,
6 runtime unavailable, 7 configuration, 124 timeout, 130 interrupted.
MANYHANDS_HOME moves all state.`,
    )
  program.commandsGroup('Lend this computer:')
  for (const create of [
    hostCommand,
    psCommand,
    statsCommand,
    killCommand,
    pauseCommand,
    resumeCommand,
    limitCommand,
    drainCommand,
    policyCommand,
    explainCommand,
    blockCommand,
    unblockCommand,
    blockedCommand,
  ]) {
    program.addCommand(create(context))
  }
  program.commandsGroup('Borrow computers:')
  program.addCommand(runCommand(context)).addCommand(hostsCommand(context))
  program.commandsGroup('Private networks:')
  program.addCommand(networkCommand(context))
  program.commandsGroup('This installation:')
  for (const create of [doctorCommand, gcCommand, configCommand])
    program.addCommand(create(context))
  quiet(program)
  return program
}

/** Errors are told by us, in the format that was asked for. */
function quiet(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => {} })
  command.commands.forEach(quiet)
}

/** `run … -- ARGV`: what follows belongs to the task, whatever it looks like. */
function splitArguments(argv: string[]): { own: string[]; rest: string[] | undefined } {
  const end = argv.indexOf('--')
  if (end === -1 || argv.find((argument) => !argument.startsWith('-')) !== 'run') {
    return { own: argv, rest: undefined }
  }
  return { own: argv.slice(0, end), rest: argv.slice(end + 1) }
}

function packageVersion(): string {
  return JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
}
