import { ERRORS, ManyhandsError, toManyhandsError } from '@manyhands/core'
import { CommanderError } from 'commander'
import { eventLine, type Output } from './output.ts'

/** Tells people and scripts what went wrong. Returns the exit code. */
export function reportFailure(
  thrown: unknown,
  output: Output,
  options: { debug: boolean },
): number {
  const error = named(toError(thrown))
  output.say(`${output.style('red', 'error')} ${error.code}: ${error.message}`)
  output.say(`hint: ${error.hint}`)
  if (options.debug) {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      output.say(cause.stack ?? String(cause))
    }
  }
  if (output.format === 'jsonl') output.event('error', { error: error.toJSON() })
  // With --json too: the one document of a command that failed is its error.
  if (output.format === 'json') {
    output.document(JSON.parse(eventLine('error', { error: error.toJSON() })))
  }
  return error.exitCode
}

/** What is wrong with an option is corrected there, not in a job spec. */
function named(error: ManyhandsError): ManyhandsError {
  const [option] = /^--[a-z-]+/.exec(error.message) ?? []
  if (error.code !== 'SPEC_INVALID' || option === undefined) return error
  const { code, message, details } = error
  const hint = `Correct ${option}; \`--help\` shows what it takes.`
  return new ManyhandsError(code, message, { cause: error, hint, details })
}

/** Whatever was thrown, with a code of the table. */
export function toError(thrown: unknown): ManyhandsError {
  if (thrown instanceof CommanderError) return usageError(thrown)
  // A package may be installed twice; its errors are then not instances of our class.
  const foreign = thrown as Partial<ManyhandsError> | null
  if (
    foreign?.name === 'ManyhandsError' &&
    typeof foreign.toJSON === 'function' &&
    Object.hasOwn(ERRORS, String(foreign.code))
  ) {
    const copy = ManyhandsError.fromJSON(foreign.toJSON())
    copy.stack = foreign.stack
    return copy
  }
  return toManyhandsError(thrown)
}

/** Words of a job spec, which are other words here, and not those that look most alike. */
const CALLED_HERE: Record<string, string> = {
  input: 'in',
  inputs: 'in',
  output: 'out',
  outputs: 'out',
  hosts: 'host',
  retry: 'retries',
}

function suggested(message: string): string {
  const [, said] = /^unknown option '--([a-z-]+)/.exec(message) ?? []
  const meant = said === undefined ? undefined : CALLED_HERE[said]
  // On one line, as all that is told.
  const [what, ...more] = message.split('\n')
  return [what, ...(meant === undefined ? more : [`(Did you mean --${meant}?)`])].join(' ')
}

function usageError(error: CommanderError): ManyhandsError {
  const help = error.code === 'commander.help'
  const message = help ? 'no command was given' : suggested(error.message.replace(/^error: /, ''))
  return new ManyhandsError('USAGE', message, { cause: error })
}
