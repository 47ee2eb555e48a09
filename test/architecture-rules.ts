/**
 * The rules of this code base that a machine can hold. They look at a tree given as data, so that each
 * rule can be shown to fail on a tree made for it.
 */
import { posix } from 'node:path'
import ts from 'typescript'

/** What a package is made of, as far as rules look at it. */
export interface PackageTree {
  /** Folder below packages/. */
  folder: string
  manifest: {
    name: string
    exports?: Record<string, unknown>
    dependencies?: Record<string, string>
    peerDependencies?: Record<string, string>
    optionalDependencies?: Record<string, string>
    devDependencies?: Record<string, string>
    peerDependenciesMeta?: Record<string, { optional?: boolean }>
  }
  /** Text by path below the package, POSIX: `src/client.ts`. */
  sources: Record<string, string>
}

export interface Violation {
  rule: string
  where: string
  what: string
}

/** Which of our packages each may use, by folder. A `*-runtime` may use core alone. */
const MAY_USE: Record<string, readonly string[] | 'all'> = {
  core: [],
  client: ['core'],
  host: ['core'],
  webrtc: ['core'],
  testing: ['core', 'client', 'host'],
  control: ['core', 'client', 'host'],
  dashboard: ['core', 'client', 'host', 'control'],
  cli: 'all',
}

/**
 * What may be loaded when it is installed: an optional peer, by a dynamic import alone. A client looks
 * for images in the engine that the runtime's package knows how to find; without it nothing is missing.
 */
const MAY_LOAD: Record<string, readonly string[]> = { client: ['docker-runtime'] }

/** By package, the libraries that its build takes in; see its tsup.config.ts for the reason. */
const TAKEN_IN: Record<string, readonly string[]> = { webrtc: ['@libp2p/webrtc'] }

const TYPES_ONLY = new Set(['dashboard'])
/** Programs, not libraries: they own the process and the terminal. */
const PROGRAMS = new Set(['cli'])
const VAGUE_NAMES = new Set(['utils', 'util', 'helpers', 'helper', 'types', 'common', 'misc'])
const BARE_ERRORS = new Set(['Error', 'TypeError', 'RangeError', 'SyntaxError', 'AggregateError'])
const AMBIENT = new Set(['env', 'on', 'once', 'addListener', 'prependListener', 'exit'])

interface Import {
  specifier: string
  typeOnly: boolean
  /** Loaded when the program asks for it. */
  dynamic: boolean
}

interface SourceFacts {
  imports: Import[]
  /** Violations that one file shows by itself, as rule and line. */
  found: { rule: string; what: string }[]
}

/** Every violation of every rule. An empty list means that the tree is sound. */
export function checkArchitecture(packages: PackageTree[]): Violation[] {
  const violations: Violation[] = []
  const folderOf = new Map(packages.map((tree) => [tree.manifest.name, tree.folder]))
  const manifestOf = new Map(packages.map((tree) => [tree.manifest.name, tree.manifest]))
  const uses = new Map<string, Set<string>>(packages.map((tree) => [tree.folder, new Set()]))

  const direction = (tree: PackageTree, target: string, where: string, loaded: boolean) => {
    if (loaded && MAY_LOAD[tree.folder]?.includes(target)) return
    uses.get(tree.folder)!.add(target)
    const allowed = MAY_USE[tree.folder] ?? (tree.folder.endsWith('-runtime') ? ['core'] : [])
    if (target !== tree.folder && allowed !== 'all' && !allowed.includes(target)) {
      const may = allowed.length === 0 ? 'none of our packages' : `only ${allowed.join(', ')}`
      violations.push({ rule: 'direction', where, what: `uses ${target}; it may use ${may}` })
    }
  }

  for (const tree of packages) {
    const declared = new Set(
      [
        tree.manifest.dependencies,
        tree.manifest.peerDependencies,
        tree.manifest.optionalDependencies,
      ].flatMap((dependencies) => Object.keys(dependencies ?? {})),
    )
    for (const name of declared) {
      const target = folderOf.get(name)
      if (target === undefined) continue
      const { peerDependencies, peerDependenciesMeta } = tree.manifest
      const optional =
        peerDependencies?.[name] !== undefined && peerDependenciesMeta?.[name]?.optional === true
      direction(tree, target, `packages/${tree.folder}/package.json`, optional)
    }

    const fileGraph = new Map<string, Set<string>>()
    for (const [path, text] of Object.entries(tree.sources)) {
      const where = `packages/${tree.folder}/${path}`
      const report = (rule: string, what: string) => violations.push({ rule, where, what })
      const facts = readSource(path, text)

      checkName(path, report)
      for (const { rule, what } of facts.found) {
        if (PROGRAMS.has(tree.folder) && (rule === 'bare-error' || rule === 'ambient')) continue
        report(rule, what)
      }

      const edges = new Set<string>()
      fileGraph.set(path, edges)
      for (const { specifier, typeOnly, dynamic } of facts.imports) {
        if (specifier.startsWith('node:')) continue
        if (specifier.startsWith('.')) {
          const target = posix.join(posix.dirname(path), specifier)
          if (Object.hasOwn(tree.sources, target)) edges.add(target)
          else if (target === 'package.json') continue
          else if (!target.startsWith('src/')) report('relative', `${specifier} leaves src`)
          else if (target.endsWith('.ts')) report('relative', `${specifier} does not exist`)
          continue
        }
        const name = packageName(specifier)
        if (name !== tree.manifest.name && !declared.has(name) && !isBuiltIn(tree, path, name)) {
          report('undeclared', `${name} is imported but not in package.json`)
        }
        const target = folderOf.get(name)
        if (target === undefined) continue
        direction(tree, target, where, dynamic)
        if (TYPES_ONLY.has(tree.folder) && !typeOnly) {
          report('types-only', `${specifier} must be imported as types alone`)
        }
        const entry = `.${specifier.slice(name.length)}`
        if (!Object.hasOwn(manifestOf.get(name)?.exports ?? {}, entry)) {
          report('deep-import', `${specifier} is no entry point of ${name}`)
        }
      }
    }
    for (const cycle of cycles(fileGraph)) {
      violations.push({
        rule: 'file-cycle',
        where: `packages/${tree.folder}`,
        what: cycle.join(' → '),
      })
    }
  }
  for (const cycle of cycles(uses)) {
    violations.push({ rule: 'package-cycle', where: 'packages', what: cycle.join(' → ') })
  }
  return violations
}

/**
 * What is put into the build by name, so that whoever installs the package needs none of it: all that stands
 * for Node in browsers, and what would bring far more with it than is used.
 */
function isBuiltIn({ folder, manifest }: PackageTree, path: string, name: string): boolean {
  const taken = path.startsWith('src/browser/') || TAKEN_IN[folder]?.includes(name) === true
  return taken && Object.hasOwn(manifest.devDependencies ?? {}, name)
}

function checkName(path: string, report: (rule: string, what: string) => void): void {
  const name = posix.basename(path).replace(/\.[^.]+$/, '')
  if (VAGUE_NAMES.has(name)) report('file-name', `${name} says nothing; name it after its concept`)
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) report('file-name', `${name} is not kebab-case`)
}

/** `@scope/name/deep` → `@scope/name`. */
function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function readSource(path: string, text: string): SourceFacts {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const facts: SourceFacts = { imports: [], found: [] }
  const find = (rule: string, node: ts.Node) => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
    const code = node.getText(source).split('\n')[0]!.slice(0, 80)
    facts.found.push({ rule, what: `line ${line + 1}: ${code}` })
  }
  const visit = (node: ts.Node): void => {
    collectImport(node, facts.imports)
    if (isDefaultExport(node)) find('default-export', node)
    if (ts.isExportDeclaration(node) && isStar(node)) find('export-star', node)
    if (isBareThrow(node)) find('bare-error', node)
    if (isAmbient(node)) find('ambient', node)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return facts
}

function collectImport(node: ts.Node, imports: Import[]): void {
  if (
    (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) &&
    node.moduleSpecifier !== undefined &&
    ts.isStringLiteral(node.moduleSpecifier)
  ) {
    imports.push({
      specifier: node.moduleSpecifier.text,
      typeOnly: isTypeOnly(node),
      dynamic: false,
    })
  } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments
    if (argument !== undefined && ts.isStringLiteralLike(argument)) {
      imports.push({ specifier: argument.text, typeOnly: false, dynamic: true })
    }
  } else if (
    ts.isImportTypeNode(node) &&
    ts.isLiteralTypeNode(node.argument) &&
    ts.isStringLiteral(node.argument.literal)
  ) {
    imports.push({ specifier: node.argument.literal.text, typeOnly: true, dynamic: false })
  }
}

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) {
    const names = node.exportClause
    return (
      node.isTypeOnly ||
      (names !== undefined &&
        ts.isNamedExports(names) &&
        names.elements.every((element) => element.isTypeOnly))
    )
  }
  const clause = node.importClause
  if (clause === undefined) return false
  if (clause.isTypeOnly) return true
  const names = clause.namedBindings
  return (
    clause.name === undefined &&
    names !== undefined &&
    ts.isNamedImports(names) &&
    names.elements.length > 0 &&
    names.elements.every((element) => element.isTypeOnly)
  )
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true
  if (ts.isExportSpecifier(node)) return node.name.text === 'default'
  return (
    ts.canHaveModifiers(node) &&
    (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)
  )
}

const isStar = (node: ts.ExportDeclaration) =>
  node.exportClause === undefined || ts.isNamespaceExport(node.exportClause)

function isBareThrow(node: ts.Node): boolean {
  return (
    ts.isThrowStatement(node) &&
    (ts.isNewExpression(node.expression) || ts.isCallExpression(node.expression)) &&
    ts.isIdentifier(node.expression.expression) &&
    BARE_ERRORS.has(node.expression.expression.text)
  )
}

/** console.…, process.env and the like: what a library must be given instead of taking it. */
function isAmbient(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    if (/^(node:)?console$/.test(node.moduleSpecifier.text)) return true
    return /^(node:)?process$/.test(node.moduleSpecifier.text) && !takesPlainFacts(node)
  }
  const object =
    ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node)
      ? node.expression
      : undefined
  if (object === undefined || !ts.isIdentifier(object)) return false
  if (object.text === 'console') return true
  if (object.text !== 'process') return false
  if (ts.isPropertyAccessExpression(node)) return AMBIENT.has(node.name.text)
  return (
    ts.isElementAccessExpression(node) &&
    ts.isStringLiteralLike(node.argumentExpression) &&
    AMBIENT.has(node.argumentExpression.text)
  )
}

/** `import { getuid } from 'node:process'` reads a fact; `env`, `on` or the whole object do more. */
function takesPlainFacts({ importClause: clause }: ts.ImportDeclaration): boolean {
  const names = clause?.namedBindings
  return (
    clause?.name === undefined &&
    names !== undefined &&
    ts.isNamedImports(names) &&
    names.elements.every(({ name, propertyName }) => !AMBIENT.has((propertyName ?? name).text))
  )
}

/** One cycle per back edge of a depth-first walk, as the path that closes it. */
function cycles(graph: Map<string, Set<string>>): string[][] {
  const found: string[][] = []
  const done = new Set<string>()
  const path: string[] = []
  const walk = (node: string): void => {
    if (done.has(node)) return
    const at = path.indexOf(node)
    if (at >= 0) {
      found.push([...path.slice(at), node])
      return
    }
    path.push(node)
    for (const next of graph.get(node) ?? []) walk(next)
    path.pop()
    done.add(node)
  }
  for (const node of graph.keys()) walk(node)
  return found
}
