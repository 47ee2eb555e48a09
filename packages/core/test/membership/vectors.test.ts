import { readFile } from 'node:fs/promises'
import { encodeDocument } from '@manyhands/core'
import { fromString } from 'uint8arrays/from-string'
import { toString as toText } from 'uint8arrays/to-string'
import { expect, it } from 'vitest'
import { formatInvite, type Invite, parseInvite } from '../../src/membership/invite.ts'
import { derivedKey, knockTag } from '../../src/membership/knock.ts'
import {
  documentId,
  type RosterDocument,
  readDocument,
} from '../../src/membership/roster-document.ts'

interface Vectors {
  privateNetwork: {
    network: string
    documents: { value: RosterDocument; hex: string; id: string }[]
    invite: { value: Invite; text: string }
    knock: {
      secret: Uint8Array
      key: string
      mdns: string
      a: Uint8Array
      b: Uint8Array
      tags: { knock: string; open: string; enter: string }
    }
  }
}

const path = new URL('../../../../docs/protocol/vectors.json', import.meta.url)
const { privateNetwork: vectors }: Vectors = JSON.parse(await readFile(path, 'utf8'), (_, value) =>
  typeof value?.$hex === 'string' ? fromString(value.$hex, 'base16') : value,
)
const hex = (bytes: Uint8Array) => toText(bytes, 'base16')

it.each(vectors.documents)('document $value.kind', ({ value, hex: expected, id }) => {
  const bytes = encodeDocument(value)
  expect(hex(bytes)).toBe(expected)
  expect(documentId(bytes)).toBe(id)
  expect(readDocument(bytes, vectors.network).document).toEqual(value)
})

it('invite', () => {
  const { value, text } = vectors.invite
  expect(formatInvite(value)).toBe(text)
  expect(parseInvite(text)).toEqual(value)
})

it('knock', () => {
  const { secret, key, mdns, a, b, tags } = vectors.knock
  const derived = derivedKey(secret, 'knock')
  expect(hex(derived)).toBe(key)
  expect(hex(derivedKey(secret, 'mdns', 10))).toBe(mdns)
  expect(hex(knockTag(derived, 'knock', a))).toBe(tags.knock)
  expect(hex(knockTag(derived, 'open', b, a))).toBe(tags.open)
  expect(hex(knockTag(derived, 'enter', a, b))).toBe(tags.enter)
})
