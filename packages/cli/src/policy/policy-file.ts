import { ManyhandsError } from '@manyhands/core'
import { type PolicyDocument, parsePolicyDocument } from '@manyhands/host'
import { readJsonFile } from '../json-file.ts'

/** What an owner keeps in a file. @throws CONFIG_INVALID naming file and setting */
export async function readPolicyFile(path: string): Promise<PolicyDocument> {
  const value = await readJsonFile(path, {
    unreadable: 'CONFIG_INVALID',
    invalid: 'CONFIG_INVALID',
  })
  try {
    return parsePolicyDocument(value)
  } catch (cause) {
    const { message, details } = cause as ManyhandsError
    throw new ManyhandsError('CONFIG_INVALID', `${path}: ${message}`, { cause, details })
  }
}
