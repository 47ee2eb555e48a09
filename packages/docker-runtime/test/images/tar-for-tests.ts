/** Archives as a hostile or an unusual program writes them: every field may be anything. */
import { createHash } from 'node:crypto'
import { tarHeader } from '../../src/images/tar-writer.ts'

export interface TarMember {
  name: string
  body?: Uint8Array | string
  /** The kind as one character; default a file. */
  type?: string
  /** What the header says instead of the body's length. */
  size?: number
  linkName?: string
  /** Changes the header before its checksum is made. */
  change?: (header: Buffer) => void
}

const encoder = new TextEncoder()
export const bytesOf = (body: Uint8Array | string = '') =>
  typeof body === 'string' ? encoder.encode(body) : body

export function tar(members: TarMember[], end = 1024): Buffer {
  const pieces: Uint8Array[] = []
  for (const member of members) {
    const body = bytesOf(member.body)
    pieces.push(
      header(member, body.length),
      body,
      new Uint8Array((512 - (body.length % 512)) % 512),
    )
  }
  return Buffer.concat([...pieces, new Uint8Array(end)])
}

function header({ name, type = '0', size, linkName = '', change }: TarMember, length: number) {
  const block = Buffer.from(tarHeader(name, size ?? length))
  block.write(type, 156, 'latin1')
  block.write(linkName, 157, 100, 'utf8')
  change?.(block)
  seal(block)
  return block
}

/** Writes the checksum that the rest of the header has. */
export function seal(block: Buffer): void {
  block.fill(' ', 148, 156)
  const sum = block.reduce((all, byte) => all + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}

/** A record of an extended header: `LENGTH KEY=VALUE\n`. */
export function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  let length = rest.length
  while (`${length}`.length + Buffer.byteLength(rest) !== length) length += 1
  return `${length}${rest}`
}

export const digestOf = (bytes: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A configuration of an image with these layers. */
export function configOf(diffIds: string[], more: object = {}): Buffer {
  const rootfs = { type: 'layers', diff_ids: diffIds }
  return Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs, ...more }))
}

/** Cuts bytes into pieces of a size, as a stream brings them. */
export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
