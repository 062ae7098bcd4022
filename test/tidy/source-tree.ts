// The repository's own TypeScript as parsed files, for the tests that hold the house rules.

import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { parseSync } from 'oxc-parser'

export interface SourceFile {
  /** Below the repository, with slashes. */
  readonly path: string
  readonly text: string
}

/** One module that a file names: by `import`, `import type`, `export … from` or `import()`. */
export interface ImportedModule {
  readonly specifier: string
  /** Path below the repository of a relative import. */
  readonly target: string | undefined
}

/** A node of the syntax tree (ESTree), as far as the rules look at it. */
export interface SyntaxNode {
  readonly type: string
  readonly [member: string]: unknown
}

/** Folders whose code is held to the rules. */
export const CODE_FOLDERS = ['protocol', 'agent', 'bot', 'scripts', 'test'] as const

/** All TypeScript of some folders of the repository. */
export function readSourceFiles(folders: readonly string[] = CODE_FOLDERS): SourceFile[] {
  const paths = folders.flatMap((folder) => [...new Bun.Glob(`${folder}/**/*.{ts,tsx}`).scanSync('.')])
  return paths.toSorted().map((path) => ({ path, text: readFileSync(path, 'utf8') }))
}

/** The statements of a file; throws when it does not parse. */
export function parseFile(file: SourceFile): SyntaxNode {
  const result = parseSync(file.path, file.text)
  const error = result.errors[0]
  if (error) throw new Error(`${file.path} does not parse: ${error.message}`)
  return result.program as unknown as SyntaxNode
}

/** Every module a file names, type-only ones with them. */
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

/** A node and all nodes in it. */
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
