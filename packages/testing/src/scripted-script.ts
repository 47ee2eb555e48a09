import {
  type ByteSize,
  type Duration,
  ManyhandsError,
  parseByteSize,
  parseDuration,
} from '@manyhands/core'

/**
 * What a scripted task does, in this order: output and files at once, then time passes, then it ends.
 * Paths are relative to /in and /out; `/in/a`, `in/a` and `a` name the same input.
 */
export interface Script {
  /** How long it runs; without it the task has ended before `start()` returns. `--for 200ms` */
  for?: Duration
  /** Runs until it is stopped, killed or out of time. `--hang` */
  hang?: boolean
  /** Runs until it settles, however: for scripts that are given as objects. */
  until?: Promise<unknown>
  /** `--exit 3` */
  exit?: number
  /** `--stdout TEXT`, `--stderr TEXT` */
  stdout?: string
  stderr?: string
  /** Prints the value of these variables, a line each. `--env NAME` */
  env?: string[]
  /** Prints these inputs. `--cat PATH` */
  cat?: string[]
  /** Writes that many bytes to stdout and then the line END. `--flood 4MiB` */
  flood?: ByteSize
  /** Files below /out by path. `--write PATH=TEXT` */
  write?: Record<string, string | Uint8Array>
  /** Inputs copied to outputs. `--copy IN=OUT` */
  copy?: Record<string, string>
  /** Symbolic links below /out by path. `--link NAME=TARGET` */
  link?: Record<string, string>
  /** In a warm sandbox: keeps a text for the tasks that follow. `--keep TEXT` */
  keep?: string
  /** In a warm sandbox: prints what was kept. `--kept` */
  kept?: boolean
  /** `start()` rejects with RUNTIME_FAILED. `--fail-start` */
  failStart?: boolean
  /** Ends as a task that hit its memory limit. `--oom` */
  oom?: boolean
  /** Ends as a task whose engine vanished. `--engine-lost` */
  engineLost?: boolean
  /** A stop has to wait for its grace. `--ignore-term` */
  ignoreTerm?: boolean
  /** Answers a stop with this exit code, as a task that traps TERM does. `--on-term 0` */
  onTerm?: number
  /** What `stats()` reports; more than the attempt's limit ends it out of memory. `--memory 64MiB` */
  memory?: ByteSize
  /** Bytes on its disk that `stats()` reports beside the files that it writes. */
  disk?: ByteSize
  /** Cores that `stats()` reports while it runs. `--cpu 1` */
  cpu?: number
}

type Apply = (script: Script, value: string) => void

const FLAGS: Record<string, (script: Script) => void> = {
  '--hang': (script) => (script.hang = true),
  '--kept': (script) => (script.kept = true),
  '--fail-start': (script) => (script.failStart = true),
  '--oom': (script) => (script.oom = true),
  '--engine-lost': (script) => (script.engineLost = true),
  '--ignore-term': (script) => (script.ignoreTerm = true),
}

const OPTIONS: Record<string, Apply> = {
  '--for': (script, value) => (script.for = parseDuration(value, '--for')),
  '--exit': (script, value) => (script.exit = integer('--exit', value)),
  '--stdout': (script, value) => (script.stdout = (script.stdout ?? '') + value),
  '--stderr': (script, value) => (script.stderr = (script.stderr ?? '') + value),
  '--env': (script, value) => (script.env = [...(script.env ?? []), value]),
  '--cat': (script, value) => (script.cat = [...(script.cat ?? []), value]),
  '--keep': (script, value) => (script.keep = value),
  '--flood': (script, value) => (script.flood = parseByteSize(value, '--flood')),
  '--write': (script, value) => (script.write = { ...script.write, ...pair('--write', value) }),
  '--copy': (script, value) => (script.copy = { ...script.copy, ...pair('--copy', value) }),
  '--link': (script, value) => (script.link = { ...script.link, ...pair('--link', value) }),
  '--on-term': (script, value) => (script.onTerm = integer('--on-term', value)),
  '--memory': (script, value) => (script.memory = parseByteSize(value, '--memory')),
  '--cpu': (script, value) => (script.cpu = Number(value)),
}

/**
 * Reads a script from argument tokens (without argv[0]).
 *
 * @throws COMMAND_INVALID naming the token that is unknown or lacks its value
 */
export function parseScript(tokens: readonly string[]): Script {
  const script: Script = {}
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index]!
    if (Object.hasOwn(FLAGS, token)) {
      FLAGS[token]!(script)
      continue
    }
    if (!Object.hasOwn(OPTIONS, token)) throw invalid(`unknown token ${JSON.stringify(token)}`)
    index += 1
    const value = tokens[index]
    if (value === undefined) throw invalid(`${token} needs a value`)
    OPTIONS[token]!(script, value)
  }
  return script
}

function integer(flag: string, value: string): number {
  if (!/^\d{1,3}$/.test(value)) throw invalid(`${flag} needs an exit code, got ${value}`)
  return Number(value)
}

function pair(flag: string, value: string): Record<string, string> {
  const at = value.indexOf('=')
  if (at < 1) throw invalid(`${flag} needs NAME=VALUE, got ${JSON.stringify(value)}`)
  return { [value.slice(0, at)]: value.slice(at + 1) }
}

function invalid(detail: string): ManyhandsError {
  return new ManyhandsError('COMMAND_INVALID', `scripted command: ${detail}`, {
    hint: 'The tokens of the scripted runtime are documented on its Script interface.',
  })
}
