/**
 * Builds the part of a package that runs in browsers, beside the one for Node: `dist/browser`. Modules of Node
 * become ours (packages/core/src/browser), rooms that need threads, sockets or a disk become their stand-ins,
 * and what those are made of goes into the build, with its licenses, so that nobody else installs it.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { build, type Metafile, type Plugin } from 'esbuild'

/** For each package: files of `src` that another file of it, or of core, stands for. */
const STAND_INS: Record<string, Record<string, string>> = {
  core: {
    'durable/state-directory.ts': 'browser/state-directory.ts',
    'hashing/hash-threads.ts': 'browser/hash-threads.ts',
    'network/peer-transports.ts': 'browser/peer-transports.ts',
    'network/port-mapping/port-mapper.ts': 'browser/port-mapper.ts',
    'transfer/lane-threads.ts': 'browser/lane-threads.ts',
    'transfer/side-sockets.ts': 'browser/side-sockets.ts',
  },
  client: {
    'images/default-images.ts': 'browser/default-images.ts',
    'local-paths.ts': 'browser/local-paths.ts',
    'store-defaults.ts': 'browser/store-defaults.ts',
  },
}

/** Globals of Node, and of newer browsers; our code finds them under these names. */
const INJECTED = [
  'asyncDispose',
  'AsyncDisposableStack',
  'Buffer',
  'clearImmediate',
  'clearInterval',
  'clearTimeout',
  'process',
  'setImmediate',
  'setInterval',
  'setTimeout',
]

const MISSING = 'let a module of core/src/browser stand for it, or for the one that imports it'

const root = new URL('../packages/', import.meta.url).pathname
const platform = join(root, 'core/src/browser')
/** Where other packages find what stands for modules of Node. */
const PLATFORM = '@manyhands/core/platform/'

/**
 * Builds `packages/NAME/dist/browser`, if the package is one that browsers load.
 *
 * @param write - `false`: only to see whether that is possible
 * @throws naming the module that nothing stands for
 */
export async function buildForBrowser(name: string, { write = true } = {}): Promise<void> {
  const standIns = STAND_INS[name]
  if (standIns === undefined) return
  const dir = join(root, name)
  const { dependencies } = JSON.parse(await readFile(join(dir, 'package.json'), 'utf8'))
  const core = name === 'core'
  const modules = (await readdir(platform)).filter((file) => /^(node-.*|globals)\.ts$/.test(file))
  const entries = modules.map((file) => [platformName(file), join(platform, file)])
  const outdir = join(dir, 'dist/browser')
  const { metafile, outputFiles } = await build({
    entryPoints: {
      index: join(dir, 'src/index.ts'),
      ...(core ? Object.fromEntries(entries.map(([to, from]) => [`platform/${to}`, from])) : {}),
    },
    outdir,
    write: false,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: [],
    external: [...Object.keys(dependencies), `${PLATFORM}*`],
    loader: { '.wasm': 'binary' },
    define: { 'Symbol.asyncDispose': 'asyncDispose' },
    inject: ['manyhands:globals'],
    sourcemap: true,
    metafile: true,
    logLevel: 'silent',
    plugins: [standing(join(dir, 'src'), standIns, core)],
  })
  if (!write) return
  await rm(outdir, { recursive: true, force: true })
  for (const { path, text } of outputFiles) {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, path.endsWith('.js') ? withoutBareImports(text) : text)
  }
  await writeFile(join(outdir, 'LICENSES.txt'), await licenses(metafile))
}

/** Parts do nothing when they are loaded but for what is imported of them: bundlers would warn of the rest. */
function withoutBareImports(text: string): string {
  return text.replaceAll(/^import "[./]+chunk-[A-Z0-9]+\.js";$/gm, '')
}

const platformName = (file: string): string => file.replace(/^node-|\.ts$/g, '')

function standing(src: string, standIns: Record<string, string>, core: boolean): Plugin {
  const byPath = new Map(
    Object.entries(standIns).map(([from, to]) => [join(src, from), join(src, to)]),
  )
  return {
    name: 'stand-ins',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^node:/ }, ({ path }) => {
        const name = path.slice('node:'.length).replaceAll(/[/_]/g, '-')
        const file = join(platform, `node-${name}.ts`)
        if (!existsSync(file)) return { errors: [{ text: `${path} in a browser: ${MISSING}` }] }
        return core ? { path: file } : { path: PLATFORM + name, external: true }
      })
      onResolve({ filter: /^\..*\.ts$/ }, ({ path, resolveDir }) => {
        const standIn = byPath.get(join(resolveDir, path))
        return standIn === undefined ? undefined : { path: standIn }
      })
      onLoad({ filter: /\.ts$/, namespace: 'file' }, async ({ path }) => {
        const text = await readFile(path, 'utf8')
        // As a namespace, what is not used of it is left out by whoever bundles this.
        const contents = text.replace("import { z } from 'zod'", "import * as z from 'zod'")
        return { contents, loader: 'ts' }
      })
      onResolve({ filter: /^manyhands:globals$/ }, ({ path }) => ({ path, namespace: 'manyhands' }))
      onLoad({ filter: /.*/, namespace: 'manyhands' }, () => {
        const from = core ? join(platform, 'globals.ts') : `${PLATFORM}globals`
        const contents = `export { ${INJECTED.join(', ')} } from ${JSON.stringify(from)}`
        return { contents, loader: 'js', resolveDir: src }
      })
    },
  }
}

/** Of every package that the build contains a part of. */
async function licenses({ inputs }: Metafile): Promise<string> {
  const folders = new Set<string>()
  for (const input of Object.keys(inputs)) {
    const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)
    if (found !== null) folders.add(found[1]!)
  }
  const texts: string[] = []
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'))
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry))
    const text =
      file === undefined ? `License: ${license}\n` : await readFile(join(folder, file), 'utf8')
    texts.push(`${name} ${version}\n\n${text}`)
  }
  return texts.join(`\n${'-'.repeat(80)}\n\n`)
}
