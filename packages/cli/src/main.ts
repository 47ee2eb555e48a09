import { isatty } from 'node:tty'
import { createInterruption } from './interruption.ts'
import { createOutput, formatOf } from './output.ts'
import { runProgram } from './program.ts'

const argv = process.argv.slice(2)
// A launcher under an older Node waits for us and forwards signals.
const launched = process.env['MANYHANDS_LAUNCHER'] === String(process.ppid)
const interruption = createInterruption(process, { launched, hasTerminal: () => isatty(2) })
const output = createOutput(process, formatOf(argv))
if (launched) {
  // When the launcher was killed, so are we.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  process.channel?.unref()
}
// A reader that has gone (`| head`) ends the command as an interruption would.
process.stdout.on('error', () => interruption.trigger())
process.stderr.on('error', () => {})

// A defect anywhere: told as one, in the form that was asked for. Once: telling it may be what fails.
process.once('uncaughtException', (thrown) => {
  process.once('uncaughtException', () => process.exit(1))
  void import('./failure.ts').then(
    ({ reportFailure }) =>
      process.exit(reportFailure(thrown, output, { debug: argv.includes('--debug') })),
    // Not even the report can be loaded: an installation in pieces must not come back here for ever.
    () => {
      process.stderr.write(`${String(thrown)}\n`)
      process.exit(1)
    },
  )
})

const code = await runProgram(argv, {
  output,
  interruption,
  env: process.env,
  cwd: process.cwd(),
  stdin: process.stdin,
})
// Explicit: a handle that some dependency forgot must not keep the command alive.
process.exit(code)
