import { hash } from 'node:crypto'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { delegationFault } from './delegation.ts'
import { type MemberDocument, memberDocumentSchema, memberFault } from './member-document.ts'
import {
  type DelegationDocument,
  delegationDocumentSchema,
  type RevocationDocument,
  revocationDocumentSchema,
  revocationFault,
} from './revocation.ts'

/** What members of a network tell each other about who is a member. */
export type RosterDocument = MemberDocument | RevocationDocument | DelegationDocument

const rosterDocumentSchema: z.ZodType<RosterDocument> = z.discriminatedUnion('kind', [
  memberDocumentSchema,
  revocationDocumentSchema,
  delegationDocumentSchema,
])

/** A document with its bytes and the name that follows from them. */
export interface FiledDocument {
  id: string
  bytes: Uint8Array
  document: RosterDocument
}

export function fileDocument(document: RosterDocument): FiledDocument {
  const bytes = encodeDocument(document)
  return { id: documentId(bytes), bytes, document }
}

export const documentId = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex').slice(0, 32)

/**
 * Reads a document of a network and checks its signatures.
 *
 * @throws PROTOCOL saying what is wrong with it
 */
export function readDocument(bytes: Uint8Array, network: string): FiledDocument {
  if (bytes.length > LIMITS.rosterDocumentBytes) throw refused('it is too large')
  const document = decodeDocument(rosterDocumentSchema, bytes, 'a document of the network')
  const filed = fileDocument(document)
  // One document has one name: other bytes for the same would be another one.
  if (filed.id !== documentId(bytes)) throw refused('it is not encoded as it should be')
  const fault = faultOf(document, network)
  if (fault !== undefined) throw refused(`it ${fault}`)
  return filed
}

function faultOf(document: RosterDocument, network: string): string | undefined {
  switch (document.kind) {
    case 'member':
      return memberFault(document, network)
    case 'revocation':
      return revocationFault(document, network)
    case 'delegation':
      return delegationFault(document.delegation, network)
  }
}

const refused = (why: string): ManyhandsError =>
  new ManyhandsError('PROTOCOL', `a document of the network does not count: ${why}`)
