import { readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buildForBrowser } from '../scripts/browser-build.ts'
import { checkArchitecture, type PackageTree } from './architecture-rules.ts'

const packagesDir = new URL('../packages/', import.meta.url).pathname

async function readTree(folder: string): Promise<PackageTree> {
  const root = join(packagesDir, folder)
  const names = await readdir(join(root, 'src'), { recursive: true }).catch(() => [])
  const sources: Record<string, string> = {}
  for (const name of names) {
    if (!/\.tsx?$/.test(name) || name.endsWith('.d.ts')) continue
    if (name.split(sep).includes('assembly')) continue
    sources[`src/${name.split(sep).join('/')}`] = await readFile(join(root, 'src', name), 'utf8')
  }
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  return { folder, manifest, sources }
}

/** A sound package to bend: one entry point, what it declares, what it contains. */
const tree = (
  folder: string,
  sources: Record<string, string>,
  dependencies: string[] = [],
): PackageTree => ({
  folder,
  manifest: {
    name: folder === 'cli' ? 'manyhands' : `@manyhands/${folder}`,
    exports: { '.': {} },
    dependencies: Object.fromEntries(dependencies.map((name) => [name, '0.1.0'])),
  },
  sources,
})

const core = tree('core', { 'src/index.ts': 'export const one = 1' })

const rulesBroken = (...packages: PackageTree[]) =>
  checkArchitecture(packages).map(({ rule }) => rule)

describe('the packages', () => {
  it('hold every rule', async () => {
    const folders = (await readdir(packagesDir, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
    const trees = await Promise.all(folders.map(readTree))
    expect(
      Object.keys(trees.find(({ folder }) => folder === 'core')!.sources).length,
    ).toBeGreaterThan(5)
    const lines = checkArchitecture(trees).map(
      ({ rule, where, what }) => `${rule}: ${where}: ${what}`,
    )
    expect(lines).toEqual([])
  })

  // A module of Node that core or client begins to use wants something that stands for it there.
  it.each(['core', 'client'])('run in browsers: %s', async (name) => {
    await buildForBrowser(name, { write: false })
  })
})

describe('each rule can fail', () => {
  it('and a sound tree breaks none', () => {
    const client = tree(
      'client',
      {
        'src/index.ts': "export { a } from './a.ts'",
        'src/a.ts':
          "import { one } from '@manyhands/core'\nimport { getuid } from 'node:process'\nexport const a = [one, getuid]",
      },
      ['@manyhands/core'],
    )
    expect(checkArchitecture([core, client])).toEqual([])
  })

  it.each([
    ['an import', "import { one } from '@manyhands/host'\nexport const x = one"],
    ['a type import', "import type { T } from '@manyhands/host'\nexport const x: T = 1"],
    ['a dynamic import', "export const x = () => import('@manyhands/host')"],
    ['an export from', "export { one } from '@manyhands/host'"],
    ['an import type', "export type X = import('@manyhands/host').T"],
  ])('direction: the client uses the host by %s', (_, text) => {
    const host = tree('host', {})
    const client = tree('client', { 'src/index.ts': text })
    expect(rulesBroken(core, host, client)).toContain('direction')
  })

  it.each([
    ['core', '@manyhands/client'],
    ['docker-runtime', '@manyhands/client'],
    ['wasm-runtime', '@manyhands/testing'],
    ['testing', '@manyhands/control'],
    ['control', 'manyhands'],
    ['stray', '@manyhands/core'],
  ])('direction: %s declares %s', (folder, dependency) => {
    const others = ['core', 'client', 'testing', 'control', 'cli']
      .filter((name) => name !== folder)
      .map((name) => tree(name, {}))
    expect(rulesBroken(tree(folder, {}, [dependency]), ...others)).toEqual(['direction'])
  })

  it('direction: what may be loaded is loaded, as an optional peer', () => {
    const docker = tree('docker-runtime', {}, ['@manyhands/core'])
    const client = (text: string, optional: boolean) => {
      const made = tree('client', { 'src/index.ts': text }, ['@manyhands/core'])
      made.manifest.peerDependencies = { '@manyhands/docker-runtime': '0.1.0' }
      if (optional) {
        made.manifest.peerDependenciesMeta = { '@manyhands/docker-runtime': { optional: true } }
      }
      return rulesBroken(core, docker, made)
    }
    const dynamic = "export const x = () => import('@manyhands/docker-runtime')"
    expect(client(dynamic, true)).toEqual([])
    expect(client(dynamic, false)).toEqual(['direction'])
    expect(client("export { x } from '@manyhands/docker-runtime'", true)).toEqual(['direction'])
  })

  it('types-only: the dashboard takes code', () => {
    const dashboard = (text: string) =>
      rulesBroken(core, tree('dashboard', { 'src/index.ts': text }, ['@manyhands/core']))
    expect(dashboard("import { one } from '@manyhands/core'\nexport { one }")).toEqual([
      'types-only',
    ])
    expect(dashboard("import type { T } from '@manyhands/core'\nexport const x: T = 1")).toEqual([])
  })

  it('package-cycle: two packages declare each other', () => {
    const client = tree('client', {}, ['@manyhands/host'])
    const host = tree('host', {}, ['@manyhands/client'])
    expect(rulesBroken(client, host)).toContain('package-cycle')
  })

  it('file-cycle: three files import each other', () => {
    const looped = tree('core', {
      'src/a.ts': "import { b } from './b.ts'\nexport const a = b",
      'src/b.ts': "export { c as b } from './deep/c.ts'",
      'src/deep/c.ts': "import { a } from '../a.ts'\nexport const c = a",
    })
    expect(checkArchitecture([looped])).toEqual([
      {
        rule: 'file-cycle',
        where: 'packages/core',
        what: 'src/a.ts → src/b.ts → src/deep/c.ts → src/a.ts',
      },
    ])
  })

  it.each([
    ['undeclared', "import { z } from 'zod'\nexport const x = z"],
    ['undeclared', "export const x = import('@scope/thing/deep')"],
    ['relative', "import { x } from './missing.ts'\nexport const y = x"],
    ['relative', "import { x } from '../../host/src/index.ts'\nexport const y = x"],
    ['default-export', 'export default 1'],
    ['default-export', 'export default function f() {}'],
    ['default-export', 'const a = 1\nexport { a as default }'],
    ['export-star', "export * from './ok.ts'"],
    ['export-star', "export * as all from './ok.ts'"],
    ['bare-error', "export const x = () => { throw new Error('no') }"],
    ['bare-error', "export const x = () => { throw new TypeError('no') }"],
    ['ambient', "console.log('hello')"],
    ['ambient', "export const x = process.env['HOME']"],
    ['ambient', "export const x = process['env']"],
    ['ambient', "process.on('exit', () => {})"],
    ['ambient', "import { env } from 'node:process'\nexport const x = env"],
    ['ambient', "import { env as e } from 'node:process'\nexport const x = e"],
    ['ambient', "import process from 'node:process'\nexport const x = process"],
  ])('%s: %s', (rule, text) => {
    expect(rulesBroken(tree('core', { 'src/index.ts': text, 'src/ok.ts': '' }))).toEqual([rule])
  })

  it('undeclared: what is built in for browsers is a development dependency, there and nowhere else', () => {
    const text = "import { sql } from 'sql.js'\nexport const x = sql"
    const made = (path: string) => {
      const built = tree('core', { [path]: text })
      built.manifest.devDependencies = { 'sql.js': '1.0.0' }
      return rulesBroken(built)
    }
    expect(made('src/browser/sql.ts')).toEqual([])
    expect(made('src/sql.ts')).toEqual(['undeclared'])
  })

  it('deep-import: past the entry points of a package', () => {
    const deep = tree(
      'client',
      { 'src/index.ts': "export { one } from '@manyhands/core/src/limits.ts'" },
      ['@manyhands/core'],
    )
    expect(rulesBroken(core, deep)).toEqual(['deep-import'])
  })

  it.each(['src/utils.ts', 'src/types.ts', 'src/wire/common.ts', 'src/jobSpec.ts', 'src/Host.ts'])(
    'file-name: %s',
    (path) => {
      expect(rulesBroken(tree('core', { [path]: '' }))).toEqual(['file-name'])
    },
  )

  it('and the command alone may own the process', () => {
    const text =
      "console.log(process.env['HOME'])\nexport const x = () => { throw new Error('no') }"
    expect(rulesBroken(tree('cli', { 'src/index.ts': text }))).toEqual([])
    expect(rulesBroken(tree('control', { 'src/index.ts': text }))).toEqual([
      'ambient',
      'ambient',
      'bare-error',
    ])
  })
})
