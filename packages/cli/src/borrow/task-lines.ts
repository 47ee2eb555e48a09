import { ManyhandsError } from '@manyhands/core'

/** Bytes of one line: an item, not its data. */
const LINE_BYTES = 1024 * 1024

/**
 * Items of a stream of JSON, one a line; empty lines are passed over. Read as they are needed.
 *
 * @throws SPEC_INVALID naming the line
 */
export async function* taskLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  const decoder = new TextDecoder()
  let rest = ''
  let number = 0
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      number += 1
      if (line.trim() !== '') yield itemOf(line, number)
    }
    if (rest.length > LINE_BYTES) throw tooLong(number + 1)
  }
  rest += decoder.decode()
  if (rest.trim() !== '') yield itemOf(rest, number + 1)
}

function itemOf(line: string, number: number): unknown {
  if (line.length > LINE_BYTES) throw tooLong(number)
  try {
    return JSON.parse(line)
  } catch (cause) {
    const what = line.trim().slice(0, 60)
    throw new ManyhandsError('SPEC_INVALID', `line ${number} of the tasks is not JSON: ${what}`, {
      cause,
      hint: 'Write one JSON value a line, such as 7, "a" or {"frame":7}.',
    })
  }
}

function tooLong(number: number): ManyhandsError {
  return new ManyhandsError('SPEC_INVALID', `line ${number} of the tasks is longer than 1 MiB`)
}
