// Mutations of statements: a call that is not awaited or not made, a guard or a block that is gone, two steps in the wrong order.

import { child, children, isPlaced, statementCall, textOf } from './syntax.ts'
import type { Edit, Operator } from './operators.ts'
import type { Place, PlacedNode } from './syntax.ts'

/** A comment above the first of two statements that says why they come in this order. */
const ORDER_COMMENT = /^\s*\/\/ order: /
/** Statements of a guard. */
const LEAVING = new Set(['ReturnStatement', 'ThrowStatement', 'ContinueStatement', 'BreakStatement'])

export const STATEMENT_OPERATORS: readonly Operator[] = [
  { name: 'drop await', edits: dropAwait },
  { name: 'drop call', edits: dropCall },
  { name: 'remove guard', edits: removeGuard },
  { name: 'empty block', edits: emptyBlock },
  { name: 'swap order', edits: swapOrder },
]

function dropAwait({ node, parents, text }: Place): Edit[] {
  if (node.type !== 'AwaitExpression') return []
  const argument = child(node, 'argument')
  const parent = parents.at(-1)
  const isReturnInTry = parent?.type === 'ReturnStatement' && parents.some(({ type }) => type === 'TryStatement')
  if (!argument || (parent?.type !== 'ExpressionStatement' && !isReturnInTry)) return []
  return [{ start: node.start, end: node.end, text: textOf(argument, text) }]
}

function dropCall({ node }: Place): Edit[] {
  const call = statementCall(node)
  if (!call || child(call, 'callee')?.type === 'Super') return []
  return [{ start: node.start, end: node.end, text: '{}' }]
}

function removeGuard({ node }: Place): Edit[] {
  if (node.type !== 'IfStatement' || child(node, 'alternate')) return []
  const consequent = child(node, 'consequent')
  if (!consequent) return []
  const statements = consequent.type === 'BlockStatement' ? children(consequent, 'body') : [consequent]
  const last = statements.at(-1)
  return last && LEAVING.has(last.type) ? [{ start: node.start, end: node.end, text: '{}' }] : []
}

function emptyBlock({ node, parents }: Place): Edit[] {
  if (node.type !== 'BlockStatement') return []
  const statements = children(node, 'body')
  const only = statements.length === 1 ? statements[0] : undefined
  // Other operators have this mutant already.
  const isCovered = only !== undefined && (LEAVING.has(only.type) || statementCall(only) !== undefined)
  const isGuard = parents.at(-1)?.type === 'IfStatement' && LEAVING.has(statements.at(-1)?.type ?? '')
  if (statements.length === 0 || isCovered || isGuard) return []
  return [{ start: node.start, end: node.end, text: '{}' }]
}

/** Swaps two statements in a row that both await, or whose first has an `order:` comment. */
function swapOrder({ node, text }: Place): Edit[] {
  const statements = ['BlockStatement', 'Program', 'StaticBlock'].includes(node.type) ? children(node, 'body') : children(node, 'consequent')
  return statements.flatMap((first, i) => {
    const second = statements[i + 1]
    if (!second || !(hasOrderComment(first, text) || (awaits(first) && awaits(second) && !declares(first, second, text)))) return []
    const between = text.slice(first.end, second.start)
    return [{ start: first.start, end: second.end, text: textOf(second, text) + between + textOf(first, text) }]
  })
}

function hasOrderComment(statement: PlacedNode, text: string): boolean {
  const above = text.slice(0, statement.start).split('\n').slice(0, -1)
  for (let i = above.length - 1; i >= 0 && /^\s*\/\//.test(above[i] ?? ''); i--) if (ORDER_COMMENT.test(above[i] ?? '')) return true
  return false
}

/** Whether a statement does nothing but await, keeping the result or not. */
function awaits(statement: PlacedNode): boolean {
  if (statement.type === 'ExpressionStatement') return child(statement, 'expression')?.type === 'AwaitExpression'
  if (statement.type !== 'VariableDeclaration' || String(statement['kind']).includes('using')) return false
  return children(statement, 'declarations').every((declared) => child(declared, 'init')?.type === 'AwaitExpression')
}

/** Whether the second statement uses a name that the first one declares. */
function declares(first: PlacedNode, second: PlacedNode, text: string): boolean {
  if (first.type !== 'VariableDeclaration') return false
  const names = children(first, 'declarations').flatMap((declared) => namesIn(declared['id']))
  return names.some((name) => new RegExp(`\\b${name.replaceAll('$', '\\$')}\\b`).test(textOf(second, text)))
}

function namesIn(pattern: unknown): string[] {
  if (!isPlaced(pattern)) return []
  if (pattern.type === 'Identifier') return [String(pattern['name'])]
  return Object.values(pattern).flatMap((member) => (Array.isArray(member) ? member.flatMap(namesIn) : namesIn(member)))
}
