import { ManyhandsError } from '@manyhands/core'

/** What the first process takes at most; texts beyond it are no command that a kernel would start. */
const FRAME_MAX = 2 * 1024 ** 2
const STRINGS_MAX = 4096
/** What it sends at most: a piece of output. */
const ANSWER_MAX = 64 * 1024 + 1

/** A program for the first process of a warm container. */
export interface ProgramOrder {
  argv: string[]
  /** `NAME=value`, beside what the container has. */
  environment: string[]
  maxRuntimeMs: number
  /** Processes that it leaves running stay. */
  isSetup: boolean
}

/** How a program ended. */
export interface ProgramEnd {
  kind: 'ended'
  /** As the kernel's wait tells it. */
  status: number
  /** Processes of it could not be ended. */
  leftSome: boolean
  outOfTime: boolean
  /** Processes of the setup go on. */
  residents: boolean
}

/** What the first process tells, as init/manyhands-init.c says. */
export type ProgramNews =
  | { kind: 'here' }
  | { kind: 'started' }
  | { kind: 'cannot-start'; error: number }
  | { kind: 'output'; stream: 'stdout' | 'stderr'; bytes: Buffer }
  | ProgramEnd

/** @throws COMMAND_INVALID when there is too much of it */
export function orderFrame({ argv, environment, maxRuntimeMs, isSetup }: ProgramOrder): Buffer {
  const strings = Buffer.from([...argv, ...environment].map((text) => `${text}\0`).join(''))
  const frame = Buffer.alloc(22 + strings.length)
  if (frame.length > FRAME_MAX || argv.length > STRINGS_MAX || environment.length > STRINGS_MAX) {
    throw new ManyhandsError('COMMAND_INVALID', 'the command and its environment are too long')
  }
  frame.writeUInt32LE(frame.length - 4, 0)
  frame.write('R', 4, 'latin1')
  frame.writeBigUInt64LE(BigInt(Math.ceil(Math.min(Math.max(0, maxRuntimeMs), 1e15))), 5)
  frame.writeUInt8(isSetup ? 1 : 0, 13)
  frame.writeUInt32LE(argv.length, 14)
  frame.writeUInt32LE(environment.length, 18)
  strings.copy(frame, 22)
  return frame
}

export function signalFrame(signal: number): Buffer {
  const frame = Buffer.alloc(9)
  frame.writeUInt32LE(5, 0)
  frame.write('K', 4, 'latin1')
  frame.writeUInt32LE(signal, 5)
  return frame
}

/** Puts frames together that come in pieces. */
export class NewsReader {
  #rest: Buffer = Buffer.alloc(0)

  /** @throws PROTOCOL for what the first process never says */
  push(bytes: Buffer): ProgramNews[] {
    let left = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const news: ProgramNews[] = []
    while (left.length >= 4) {
      const length = left.readUInt32LE(0)
      if (length < 1 || length > ANSWER_MAX) throw strange()
      if (left.length < 4 + length) break
      news.push(parse(left.subarray(4, 4 + length)))
      left = left.subarray(4 + length)
    }
    this.#rest = Buffer.from(left)
    return news
  }
}

function parse(frame: Buffer): ProgramNews {
  const content = frame.subarray(1)
  switch (String.fromCharCode(frame[0]!)) {
    case 'H':
      return { kind: 'here' }
    case 'S':
      return { kind: 'started' }
    case 'C':
      if (content.length !== 4) break
      return { kind: 'cannot-start', error: content.readUInt32LE(0) }
    case '1':
      return { kind: 'output', stream: 'stdout', bytes: content }
    case '2':
      return { kind: 'output', stream: 'stderr', bytes: content }
    case 'E': {
      if (content.length !== 8) break
      const flags = content.readUInt32LE(4)
      const [leftSome, outOfTime, residents] = [1, 2, 4].map((flag) => (flags & flag) !== 0)
      return {
        kind: 'ended',
        status: content.readUInt32LE(0),
        leftSome,
        outOfTime,
        residents,
      } as ProgramEnd
    }
  }
  throw strange()
}

function strange(): ManyhandsError {
  return new ManyhandsError('PROTOCOL', 'the first process of a container says what it never does')
}
