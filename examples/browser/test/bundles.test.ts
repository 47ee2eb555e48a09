import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import * as esbuild from 'esbuild'
import { build as viteBuild } from 'vite'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { buildPackages } from './chromium.ts'

beforeAll(buildPackages)

const PROGRAM =
  "import { createClient } from '@manyhands/client'\nglobalThis.createClient = createClient\n"

/** A part of a bundle, and what is loaded with it, or after it. */
interface Part {
  name: string
  text: string
  imports: string[]
}

/** What a bundle may not have: modules of Node, and globals that only Node has. */
function assertNothingOfNode(parts: Part[]): void {
  for (const { name, text } of parts) {
    // Text that names them, as that of errors does, is none.
    const imports = text.match(/(?:from|import|require)\s*\(?\s*["'`]node:[^"'`]+["'`]/g) ?? []
    expect([name, imports]).toEqual([name, []])
  }
}

/** Bytes of the part that a page names, and of what it cannot run without. */
function sizes(parts: Part[], entry: string): { first: string; all: string } {
  const needed = new Set([entry])
  for (const name of needed) {
    for (const other of parts.find((part) => part.name === name)?.imports ?? []) needed.add(other)
  }
  const told = (which: Part[]) => {
    const bytes = which.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
    const packed = which.reduce((sum, { text }) => sum + gzipSync(text).length, 0)
    return `${Math.round(bytes / 1024)} KiB, ${Math.round(packed / 1024)} KiB gzip`
  }
  return { first: told(parts.filter(({ name }) => needed.has(name))), all: told(parts) }
}

/** SQLite, which only who makes a client needs. */
const isSqlite = ({ text }: Part) => text.length > 500_000 && text.includes('AGFzb')

it('esbuild makes a bundle of the client without being told anything', async () => {
  const { metafile, outputFiles, warnings } = await esbuild.build({
    stdin: { contents: PROGRAM, resolveDir: import.meta.dirname },
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    outdir: '/',
    write: false,
    metafile: true,
  })
  expect(warnings).toEqual([])
  const texts = new Map(outputFiles.map(({ path, text }) => [path.split('/').at(-1)!, text]))
  const parts = Object.entries(metafile.outputs).map(([path, { imports }]): Part => {
    const name = path.split('/').at(-1)!
    const loaded = imports.filter(({ kind }) => kind === 'import-statement')
    return {
      name,
      text: texts.get(name)!,
      imports: loaded.map((one) => one.path.split('/').at(-1)!),
    }
  })
  assertNothingOfNode(parts)
  const { first, all } = sizes(parts, 'stdin.js')
  console.log(`esbuild: ${first} at first, ${all} with all that is loaded later`)
  const needed = parts.find(({ name }) => name === 'stdin.js')!.imports
  expect(parts.filter(isSqlite)).toHaveLength(1)
  expect(parts.filter((part) => isSqlite(part) && needed.includes(part.name))).toEqual([])
})

it('and one file, where that is wanted', async () => {
  const { outputFiles } = await esbuild.build({
    stdin: { contents: PROGRAM, resolveDir: import.meta.dirname },
    bundle: true,
    minify: true,
    format: 'iife',
    write: false,
  })
  expect(outputFiles).toHaveLength(1)
  assertNothingOfNode([{ name: 'all', text: outputFiles[0]!.text, imports: [] }])
})

it('so does vite', async () => {
  const dir = await mkdtemp(join(import.meta.dirname, '.vite-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  await writeFile(join(dir, 'index.html'), '<script type="module" src="./page.js"></script>')
  await writeFile(join(dir, 'page.js'), PROGRAM)
  const warned: string[] = []
  const built = await viteBuild({
    root: dir,
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      chunkSizeWarningLimit: Number.POSITIVE_INFINITY,
      rollupOptions: { onwarn: (warning) => warned.push(warning.message) },
    },
  })
  const [output] = [built].flat()
  if (output === undefined || !('output' in output)) throw new Error('vite built nothing')
  const chunks = output.output.flatMap((part) => (part.type === 'chunk' ? [part] : []))
  const parts = chunks.map(
    ({ fileName, code, imports }): Part => ({
      name: fileName,
      text: code,
      imports,
    }),
  )
  expect(warned).toEqual([])
  assertNothingOfNode(parts)
  const entry = chunks.find(({ isEntry }) => isEntry)!
  const { first, all } = sizes(parts, entry.fileName)
  console.log(`vite: ${first} at first, ${all} with all that is loaded later`)
  expect(parts.filter(isSqlite)).toHaveLength(1)
  expect(isSqlite({ name: '', text: entry.code, imports: [] })).toBe(false)
})

it('what stands for Node is under its licenses', async () => {
  const text = await readFile('packages/core/dist/browser/LICENSES.txt', 'utf8')
  for (const name of ['buffer', 'fflate', 'ipaddr.js', 'pathe', 'sql.js']) {
    expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'))
  }
})
