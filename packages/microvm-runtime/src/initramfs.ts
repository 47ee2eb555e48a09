/**
 * The first file system of a guest: its init and the kernel's modules, as a cpio archive ("newc"). It is
 * not compressed, because a machine that is emulated takes longer to unpack it than to read it.
 */

interface Entry {
  name: string
  mode: number
  content?: Uint8Array
}

/** @param modules in the order in which they are to be loaded */
export function buildInitramfs(init: Uint8Array, modules: readonly Uint8Array[]): Buffer {
  const entries: Entry[] = [
    { name: 'init', mode: 0o100755, content: init },
    { name: 'modules', mode: 0o40755 },
    ...modules.map((content, index) => ({
      name: `modules/${String(index).padStart(2, '0')}`,
      mode: 0o100644,
      content,
    })),
    { name: 'TRAILER!!!', mode: 0 },
  ]
  return Buffer.concat(entries.flatMap((entry, index) => archived(entry, index + 1)))
}

function archived({ name, mode, content = new Uint8Array() }: Entry, inode: number): Uint8Array[] {
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0]
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`
  return [padded(Buffer.from(header, 'latin1')), padded(content)]
}

function padded(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
}
