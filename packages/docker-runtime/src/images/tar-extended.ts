import { type Refusal, type TarHeader, withSize } from './tar-header.ts'

/** What a header before an entry says about it. */
export interface ExtendedHeader {
  kind: 'extended' | 'global' | 'long-name' | 'long-link'
  name?: string
  linkName?: string
  size?: number
}

/** Reads the body of such a header; undefined for one that is about no single entry. */
export function extendedRecords(
  kind: ExtendedHeader['kind'],
  bytes: Uint8Array,
  refuse: Refusal,
): ExtendedHeader | undefined {
  if (kind === 'long-name') return { kind, name: textOf(bytes) }
  if (kind === 'long-link') return { kind, linkName: textOf(bytes) }
  const records = readRecords(bytes, refuse)
  // A few bytes that become a file of any size when they are unpacked.
  for (const key of records.keys()) {
    if (key.startsWith('GNU.sparse.')) throw refuse('has a sparse file')
  }
  if (kind === 'global') return undefined
  const size = records.get('size') || undefined
  if (size !== undefined && !(/^\d+$/.test(size) && Number.isSafeInteger(Number(size)))) {
    throw refuse('has a size that is none')
  }
  return {
    kind,
    name: records.get('path') || undefined,
    linkName: records.get('linkpath') || undefined,
    size: size === undefined ? undefined : Number(size),
  }
}

export function applyExtended(
  header: TarHeader,
  overrides: ExtendedHeader[],
  refuse: Refusal,
): TarHeader {
  let entry = header
  for (const { name, linkName, size } of overrides) {
    if (size !== undefined) entry = withSize(entry, size)
    entry = { ...entry, name: name ?? entry.name, linkName: linkName ?? entry.linkName }
  }
  if (entry.name === '' && entry.type !== 'directory') throw refuse('has an entry without a name')
  return entry
}

/** `LENGTH KEY=VALUE\n`, the length counting itself. */
function readRecords(bytes: Uint8Array, refuse: Refusal): Map<string, string> {
  const records = new Map<string, string>()
  const text = Buffer.from(bytes)
  for (let at = 0; at < text.length; ) {
    const blank = text.indexOf(0x20, at)
    const digits = blank < 0 ? '' : text.toString('latin1', at, blank)
    const length = /^[1-9]\d{0,5}$/.test(digits) ? Number(digits) : 0
    const end = at + length
    const equals = text.indexOf(0x3d, blank)
    const sound = length > 0 && end <= text.length && text[end - 1] === 0x0a
    if (!sound || equals < 0 || equals >= end) throw refuse('has an extended header that is none')
    records.set(
      text.toString('utf8', blank + 1, equals),
      text.toString('utf8', equals + 1, end - 1),
    )
    at = end
  }
  return records
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8')
}
