/**
 * Images for tests and benchmarks, made on this computer: nothing is pulled.
 */
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type Docker from 'dockerode'

const BUSYBOX = '/bin/busybox'
const BLOCK = 512
const APPLETS = (
  'sh ash cat cp mv rm mkdir rmdir ls ln chmod chown touch echo printf true false sleep env id ' +
  'head tail tee tr wc cut sort uniq yes seq dd du df stat find grep sed awk test [ expr sync date ' +
  'kill ps pidof nc wget ping mount umount unshare mknod sha256sum base64 xargs timeout ulimit ' +
  'sysctl truncate usleep nohup nproc uname hostname ip ifconfig adduser su vi'
).split(' ')

/** The image that the Docker tests and benchmarks run: Debian's static busybox, 2 MB. */
export const BUSYBOX_IMAGE = 'manyhands-test/busybox:1'

/**
 * Makes sure that the engine has {@link BUSYBOX_IMAGE} and answers its tag.
 *
 * @throws when busybox is not installed, saying how to install it
 */
export async function ensureBusybox(docker: Docker): Promise<string> {
  return ensureImage(docker, BUSYBOX_IMAGE, [])
}

/** What an image has beside busybox: a link when it has a target, else a file. */
export interface ImageEntry {
  path: string
  mode?: number
  content?: string | Buffer
  target?: string
}

/**
 * Imports busybox under a tag, with changes such as `ENTRYPOINT ["/bin/cat"]` or `VOLUME /data` and
 * with further files or links, unless the engine has that tag already.
 */
export async function ensureImage(
  docker: Docker,
  tag: string,
  changes: string[],
  entries: ImageEntry[] = [],
): Promise<string> {
  const present = await docker
    .getImage(tag)
    .inspect()
    .catch((error: { statusCode?: number }) => {
      if (error.statusCode === 404) return undefined
      throw error
    })
  if (present !== undefined) return tag
  const [repo = '', version] = tag.split(':')
  const options = { repo, tag: version, changes }
  const progress = await docker.importImage(
    Readable.from([await busyboxTar(entries)]) as never,
    options,
  )
  const said: string[] = []
  progress.on('data', (bytes: Buffer) => said.push(String(bytes)))
  await finished(progress as Readable)
  const failure = /"error":"([^"]*)"/.exec(said.join(''))
  if (failure !== null) throw new Error(`importing ${tag} failed: ${failure[1]}`)
  // Podman imports under the tag 'latest', whatever was asked for.
  const id = /"status":"(?:sha256:)?([0-9a-f]{64})/.exec(said.join(''))?.[1]
  if (id !== undefined) await docker.getImage(id).tag({ repo, tag: version })
  return tag
}

/** Builds an image from instructions, for those that an import does not know, such as STOPSIGNAL. */
export async function buildImage(
  docker: Docker,
  tag: string,
  instructions: string[],
): Promise<string> {
  const text = Buffer.from(instructions.join('\n'))
  const context = Buffer.concat([file('Dockerfile', text, 0o644), Buffer.alloc(2 * BLOCK)])
  const progress = await docker.buildImage(Readable.from([context]) as never, { t: tag })
  progress.resume()
  await finished(progress as Readable)
  return tag
}

/** A root file system of busybox and links to it, always the same bytes. */
async function busyboxTar(entries: ImageEntry[]): Promise<Buffer> {
  const busybox = await readFile(BUSYBOX).catch(() => {
    throw new Error(`${BUSYBOX} is missing: apt-get install busybox-static`)
  })
  const parts = new Map<string, Buffer>()
  for (const [path, mode] of [
    ['bin', 0o755],
    ['tmp', 0o1777],
    ['etc', 0o755],
  ] as const) {
    parts.set(path, directory(`${path}/`, mode))
  }
  parts.set('bin/busybox', file('bin/busybox', busybox, 0o755))
  parts.set('etc/passwd', file('etc/passwd', Buffer.from('root:x:0:0:root:/:/bin/sh\n'), 0o644))
  for (const applet of APPLETS) parts.set(`bin/${applet}`, link(`bin/${applet}`, 'busybox'))
  // In the place of ours of the same name: an archive may not name a path twice.
  for (const { path, mode = 0o755, content = '', target } of entries) {
    const made = target === undefined ? file(path, Buffer.from(content), mode) : link(path, target)
    parts.set(path, made)
  }
  return Buffer.concat([...parts.values(), Buffer.alloc(2 * BLOCK)])
}

function directory(name: string, mode: number): Buffer {
  return header(name, { mode, type: '5', size: 0, target: '' })
}

function link(name: string, target: string): Buffer {
  return header(name, { mode: 0o777, type: '2', size: 0, target })
}

function file(name: string, content: Buffer, mode: number): Buffer {
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)
  return Buffer.concat([
    header(name, { mode, type: '0', size: content.length, target: '' }),
    content,
    padding,
  ])
}

/** A ustar header, owned by root and without a time. */
function header(
  name: string,
  entry: { mode: number; type: string; size: number; target: string },
): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, at: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  block.write(name, 0, 'latin1')
  octal(entry.mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(entry.size, 124, 12)
  octal(0, 136, 12)
  block.fill(' ', 148, 156)
  block.write(entry.type, 156, 'latin1')
  block.write(entry.target, 157, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  return block
}
