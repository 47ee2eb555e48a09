/**
 * Builds the guest's init of the microVM runtime from its C sources and puts it, compressed, into
 * `guest-init.ts`, so that nobody who uses the package needs a compiler. Needs Debian's musl-tools.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const source = new URL('../packages/microvm-runtime/src/guest/', import.meta.url).pathname
const target = new URL('../packages/microvm-runtime/src/guest-init.ts', import.meta.url).pathname

/** One hash over all sources; a test compares it with what the shipped program was made from. */
export function hashOfSources(): string {
  const hash = createHash('sha256')
  for (const name of readdirSync(source).sort()) {
    hash
      .update(`${name}\0`)
      .update(readFileSync(join(source, name)))
      .update('\0')
  }
  return hash.digest('hex')
}

if (import.meta.main) {
  const directory = mkdtempSync(join(tmpdir(), 'manyhands-init-'))
  try {
    const program = join(directory, 'init')
    const sources = readdirSync(source).filter((name) => name.endsWith('.c'))
    const flags =
      '-std=gnu17 -Os -s -static -Wall -Wextra -Werror -Wno-unused-result -fno-ident ' +
      '-ffunction-sections -fdata-sections -Wl,--gc-sections -Wl,--build-id=none'
    execFileSync('musl-gcc', [...flags.split(' '), '-o', program, ...sources.sort()], {
      cwd: source,
      stdio: 'inherit',
    })
    const packed = gzipSync(readFileSync(program), { level: 9 }).toString('base64')
    writeFileSync(
      target,
      `// Made by scripts/microvm-init.ts from guest/*.c; do not edit.

/** Hash of the sources that it was made from. */
export const GUEST_INIT_SOURCES =
  '${hashOfSources()}'

/** The guest's init, a static x86-64 program, gzipped, as base64. */
export const GUEST_INIT =
  '${packed}'
`,
    )
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
