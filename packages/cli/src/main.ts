import { createInterruption } from './interruption.ts'
import { createOutput, formatOf } from './output.ts'
import { runProgram } from './program.ts'

const argv = process.argv.slice(2)
const interruption = createInterruption(process)
const output = createOutput(process, formatOf(argv))
// A reader that has gone (`| head`) ends the command as an interruption would.
process.stdout.on('error', () => interruption.trigger())
process.stderr.on('error', () => {})

const code = await runProgram(argv, { output, interruption, env: process.env, cwd: process.cwd() })
// Explicit: a handle that some dependency forgot must not keep the command alive.
process.exit(code)
