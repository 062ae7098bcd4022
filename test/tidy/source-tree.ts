// Reads and parses the repository's own TypeScript, for the tests of the house rules.

import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { parseSync } from 'oxc-parser'

export interface SourceFile {
  /** Path below the repository, with slashes. */
  readonly path: string
  readonly text: string
}

/** One module that a file names: by `import`, `import type`, `export … from` or `import()`. */
export interface ImportedModule {
  readonly specifier: string
  /** Path below the repository of a relative import. */
  readonly target: string | undefined
}

/** A node of the syntax tree (ESTree), with the members that the rules use. */
export interface SyntaxNode {
  readonly type: string
  readonly [member: string]: unknown
}

/** Folders whose code has to follow the rules. */
export const CODE_FOLDERS = ['protocol', 'agent', 'bot', 'scripts', 'test'] as const

/** Returns all TypeScript files of some folders of the repository. */
export function readSourceFiles(folders: readonly string[] = CODE_FOLDERS): SourceFile[] {
  const paths = folders.flatMap((folder) => [...new Bun.Glob(`${folder}/**/*.{ts,tsx}`).scanSync('.')])
  return paths.toSorted().map((path) => ({ path, text: readFileSync(path, 'utf8') }))
}

/** Returns the statements of a file; throws when it does not parse. */
export function parseFile(file: SourceFile): SyntaxNode {
  const result = parseSync(file.path, file.text)
  const error = result.errors[0]
  if (error) throw new Error(`${file.path} does not parse: ${error.message}`)
  return result.program as unknown as SyntaxNode
}

/** Returns every module that a file names, including type-only imports. */
export function importsOf(file: SourceFile): ImportedModule[] {
  const found: ImportedModule[] = []
  for (const node of walk(parseFile(file))) {
    const source = node['source']
    if (!isNode(source) || !['ImportDeclaration', 'ExportNamedDeclaration', 'ExportAllDeclaration', 'ImportExpression', 'TSImportType'].includes(node.type))
      continue
    const specifier = source['value']
    if (typeof specifier !== 'string') continue
    found.push({ specifier, target: specifier.startsWith('.') ? posix.join(posix.dirname(file.path), specifier) : undefined })
  }
  return found
}

/** Yields a node and all nodes in it. */
export function* walk(node: SyntaxNode): Generator<SyntaxNode> {
  yield node
  for (const member of Object.values(node)) {
    if (Array.isArray(member)) {
      for (const item of member) if (isNode(item)) yield* walk(item)
    } else if (isNode(member)) yield* walk(member)
  }
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}
