// House rules that can be checked on a syntax tree: what a file may export, name and use.

import { basename } from 'node:path'
import { importsOf, isNode, parseFile, walk } from './source-tree.ts'
import type { SourceFile, SyntaxNode } from './source-tree.ts'

/** The files that may use each part of the environment: paths, or folders with a slash at the end. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  'process.env': ['agent/config.ts', 'bot/config.ts', 'scripts/', 'test/'],
  console: ['scripts/', 'test/'],
  'Date.now': ['agent/system/', 'bot/system/', 'scripts/', 'test/'],
  'performance.now': ['agent/system/', 'bot/system/', 'protocol/client/answer-body.ts', 'scripts/', 'test/'],
  'new Date()': ['agent/system/', 'bot/system/', 'scripts/', 'test/'],
  'Math.random': ['agent/system/', 'bot/system/', 'test/'],
  setTimeout: ['agent/system/', 'bot/system/', 'scripts/', 'test/'],
  setInterval: ['agent/system/', 'bot/system/', 'scripts/', 'test/'],
}

/** Modules that only adapters may import. */
const MODULE_HOMES: Readonly<Record<string, readonly string[]>> = {
  'node:fs': [
    'agent/system/',
    'agent/config.ts',
    'agent/config-process.ts',
    'agent/config-origins.ts',
    'agent/access/secret-file.ts',
    'agent/browse/browser.ts',
    'agent/contract/sync-folder.ts',
    'agent/imports/local/',
    'agent/slices/index/index-file.ts',
    'agent/slices/index/run-file.ts',
    'agent/tasks/database.ts',
    'agent/visibility/run-file.ts',
    'bot/system/',
    'bot/config.ts',
    'scripts/',
    'test/',
  ],
  'node:fs/promises': [
    'agent/system/',
    'agent/access/secret-file.ts',
    'agent/browse/browser.ts',
    'agent/contract/sync-folder.ts',
    'agent/imports/existing/existing-files.ts',
    'agent/imports/local/',
    'agent/slices/index/index-file.ts',
    'agent/slices/index/run-file.ts',
    'agent/slices/index/run-writer.ts',
    'agent/health/mount-probe.ts',
    'bot/system/',
    'scripts/',
    'test/',
  ],
  'bun:sqlite': ['agent/slices/index/index-file.ts', 'agent/tasks/', 'agent/system/', 'bot/system/', 'bot/fleet/registry.ts', 'bot/audit/audit.ts', 'test/'],
  'bun:ffi': ['agent/system/', 'bot/system/', 'test/'],
}

/** The file that interprets caught values for all others. */
const ERRORS_HOME = 'protocol/errors.ts'

const FORBIDDEN_WORDS = /^(?:manager|service|helper|helpers|util|utils|handler|processor|data|info|common)$/

/** Returns a sentence for each rule that a file breaks. */
export function houseRuleViolations(file: SourceFile): string[] {
  const violations: string[] = []
  const say = (sentence: string): void => void violations.push(`${file.path} ${sentence}`)
  if (!/^(?:#!.*\n)?(?:\/\/|\/\*)/.test(file.text)) say('does not begin with a comment on its purpose')
  // Bun reads tsconfig.json from the folder in which it was started, and takes React's runtime without it.
  if (file.path.endsWith('.tsx') && !file.text.includes('/** @jsxImportSource hono/jsx */')) say('does not name the runtime of its JSX')
  for (const word of wordsOf(basename(file.path).replace(/\..*$/, ''))) if (FORBIDDEN_WORDS.test(word)) say(`has "${word}" in its name`)

  for (const { specifier, target } of importsOf(file)) {
    if (target !== undefined && !/\.(?:tsx?|json|txt)$/.test(target)) say(`imports "${specifier}" without its extension`)
    const homes = MODULE_HOMES[specifier]
    if (homes && !isAtHome(file.path, homes)) say(`imports ${specifier}, which is for adapters`)
    if (/^(?:fs|path|os|crypto|net|http|https|stream|util|url|child_process|events|zlib|tls|dns)(?:\/|$)/.test(specifier))
      say(`imports "${specifier}" without "node:"`)
  }

  for (const node of walk(parseFile(file))) {
    if (node.type === 'ExportDefaultDeclaration') say('has a default export')
    if (node.type === 'ExportAllDeclaration' || (node.type === 'ExportNamedDeclaration' && isNode(node['source']))) say('exports what another file made')
    if (node.type === 'TSEnumDeclaration') say('has an enum')
    if (isRequestMethod(node) && file.path.startsWith('agent/http/routes/'))
      say('reads request.method: a route is one method, chosen and authorized before it runs')
    const name = declaredName(node)
    for (const word of wordsOf(name ?? '')) if (FORBIDDEN_WORDS.test(word)) say(`declares ${name}: "${word}" says nothing`)
    if (isErrorText(node) && file.path !== ERRORS_HOME) say('spells out the text of an error: use errorText')
    if (isCodeTest(node) && file.path !== ERRORS_HOME) say('looks for the code of an error: use errorCode or hasCode')
    const touched = touchedThing(node)
    if (touched !== undefined && !isAtHome(file.path, HOMES[touched] ?? [])) say(`touches ${touched} outside of its home`)
  }
  return violations
}

function isAtHome(path: string, homes: readonly string[]): boolean {
  return homes.some((home) => (home.endsWith('/') ? path.startsWith(home) : path === home))
}

function isRequestMethod(node: SyntaxNode): boolean {
  return node.type === 'MemberExpression' && identifierName(node['object']) === 'request' && identifierName(node['property']) === 'method'
}

/** Returns whether a node is `error instanceof Error ? error.message : String(error)`, or the same with a fixed text. */
function isErrorText(node: SyntaxNode): boolean {
  if (node.type !== 'ConditionalExpression' || !isNode(node['test']) || !isNode(node['consequent'])) return false
  const { test, consequent, alternate } = node
  if (test.type !== 'BinaryExpression' || test['operator'] !== 'instanceof' || identifierName(test['right']) !== 'Error') return false
  const isFallback = isNode(alternate) && (alternate.type === 'Literal' || identifierName(alternate['callee']) === 'String')
  return (
    isFallback &&
    consequent.type === 'MemberExpression' &&
    identifierName(consequent['property']) === 'message' &&
    identifierName(consequent['object']) === identifierName(test['left'])
  )
}

/** Returns whether a node is `'code' in error`. */
function isCodeTest(node: SyntaxNode): boolean {
  return node.type === 'BinaryExpression' && node['operator'] === 'in' && isNode(node['left']) && node['left']['value'] === 'code'
}

/** Returns the key in HOMES of what a node uses; undefined for other nodes. */
function touchedThing(node: SyntaxNode): string | undefined {
  if (node.type === 'MemberExpression') {
    const member = `${identifierName(node['object'])}.${identifierName(node['property'])}`
    if (member.startsWith('console.')) return 'console'
    return member in HOMES ? member : undefined
  }
  if (node.type === 'CallExpression') {
    const callee = identifierName(node['callee'])
    return callee === 'setTimeout' || callee === 'setInterval' ? callee : undefined
  }
  const isPresentDate =
    node.type === 'NewExpression' && identifierName(node['callee']) === 'Date' && Array.isArray(node['arguments']) && node['arguments'].length === 0
  return isPresentDate ? 'new Date()' : undefined
}

/** Returns the name of a declared function, class, interface or type. */
function declaredName(node: SyntaxNode): string | undefined {
  const isDeclaration = ['FunctionDeclaration', 'ClassDeclaration', 'TSInterfaceDeclaration', 'TSTypeAliasDeclaration'].includes(node.type)
  return isDeclaration ? identifierName(node['id']) : undefined
}

function identifierName(node: unknown): string | undefined {
  return isNode(node) && node.type === 'Identifier' && typeof node['name'] === 'string' ? node['name'] : undefined
}

/** Returns the words of a camel-case or dashed name, in lower case. */
function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[-_.]+/)
}
