import { readFile } from 'node:fs/promises'
import { type ErrorCode, ManyhandsError } from '@manyhands/core'

/** No spec or policy that a person writes comes near; a spec with a million listed items does not. */
const MAX_BYTES = 256 * 1024 * 1024

/**
 * A JSON file that people write: comments and trailing commas are allowed.
 *
 * @throws the given codes, with the path and what the parser says
 */
export async function readJsonFile(
  path: string,
  codes: { unreadable: ErrorCode; invalid: ErrorCode },
): Promise<unknown> {
  let text: string
  try {
    const bytes = await readFile(path)
    if (bytes.length > MAX_BYTES) throw new RangeError(`larger than ${MAX_BYTES} bytes`)
    text = bytes.toString('utf8')
  } catch (error) {
    const message = `cannot read ${path}: ${(error as Error).message}`
    throw new ManyhandsError(codes.unreadable, message, { cause: error })
  }
  const plain = blankComments(text.replace(/^\uFEFF/, ' '))
  try {
    return JSON.parse(plain)
  } catch (error) {
    const message = `${path}: not JSON: ${(error as Error).message}`
    throw new ManyhandsError(codes.invalid, message, {
      cause: error,
      hint: 'Correct the file; comments and trailing commas are allowed.',
    })
  }
}

/** Comments and trailing commas become spaces: every position stays what it was in the file. */
function blankComments(text: string): string {
  const blank = (part: string) => part.replace(/[^\n]/g, ' ')
  const withoutComments = text.replace(/"(?:\\.|[^"\\])*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) =>
    part.startsWith('"') ? part : blank(part),
  )
  return withoutComments.replace(/"(?:\\.|[^"\\])*"|,(?=\s*[}\]])/g, (part) =>
    part === ',' ? ' ' : part,
  )
}
