/**
 * Builds the first process of containers and writes it into the package as text:
 * `node scripts/embed-init.ts`. Run it after a change to packages/docker-runtime/init.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const root = new URL('../', import.meta.url).pathname
const compilers = { amd64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' }
const directory = mkdtempSync(join(tmpdir(), 'manyhands-init-'))
try {
  execFileSync(join(root, 'scripts/build-init.sh'), [directory], { stdio: 'inherit' })
  const entries = Object.entries(compilers).map(([architecture, compiler]) => {
    const bytes = readFileSync(join(directory, `manyhands-init-${architecture}`))
    const version = execFileSync(compiler, ['--version'], { encoding: 'utf8' }).split('\n')[0]!
    return `  ${architecture}: {
    bytes: ${bytes.length},
    sha256: '${createHash('sha256').update(bytes).digest('hex')}',
    compiler: ${JSON.stringify(version).replaceAll("'", "\\'").replace(/^"|"$/g, "'")},
    gzip: '${gzipSync(bytes, { level: 9 }).toString('base64')}',
  },`
  })
  const file = join(root, 'packages/docker-runtime/src/init/init-binaries.ts')
  writeFileSync(
    file,
    `/** Made by scripts/embed-init.ts from init/manyhands-init.c; not to be edited. */
export const INIT_BINARIES = {
${entries.join('\n')}
} as const
`,
  )
  execFileSync(join(root, 'node_modules/.bin/biome'), ['format', '--write', file])
} finally {
  rmSync(directory, { recursive: true, force: true })
}
