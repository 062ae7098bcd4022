// Mutations of values: arithmetic, numbers, limits, booleans, what a function returns.

import { otherOperator } from './condition-operators.ts'
import { child, children, nameIn, textOf } from './syntax.ts'
import type { Edit, Operator } from './operators.ts'
import type { Place, PlacedNode } from './syntax.ts'

const LIMIT_NAME = /_(?:MAX|MIN|BYTES|MS)$/
/** One millisecond more is nothing that a test could see. */
const TIME_NAME = /_MS$/
/** A size such as `const FLUSH_ROWS = 64 * 1024`: chosen for speed, so that a little more changes nothing. */
const SIZE = /^const [A-Z][A-Z0-9_]* = \d+(?: \*\*? \d+)+$/
/** A limit this many times as large is no limit at all. */
const LIMIT_FACTOR = 1000
/** What the value of a limit may be. */
const NUMERIC = new Set(['Literal', 'BinaryExpression', 'UnaryExpression', 'Identifier', 'MemberExpression'])

export const VALUE_OPERATORS: readonly Operator[] = [
  { name: 'arithmetic', edits: otherArithmetic },
  { name: 'min/max', edits: otherBound },
  { name: 'number', edits: nextNumber },
  { name: 'limit', edits: otherLimit },
  { name: 'boolean', edits: otherBoolean },
  { name: 'return undefined', edits: returnUndefined },
]

function otherArithmetic(place: Place): Edit[] {
  const { node, text } = place
  if (node.type === 'UpdateExpression') {
    const operator = String(node['operator'])
    const start = text.indexOf(operator, node['prefix'] === true ? node.start : (child(node, 'argument')?.end ?? node.start))
    return [{ start, end: start + 2, text: operator === '++' ? '--' : '++' }]
  }
  if (isConcatenation(node)) return []
  return [...otherOperator(place, ['BinaryExpression'], { '+': '-', '-': '+' }), ...otherOperator(place, ['AssignmentExpression'], { '+=': '-=', '-=': '+=' })]
}

/** Whether a node adds text and not numbers, as far as its literals show. */
function isConcatenation(node: PlacedNode): boolean {
  return ['left', 'right'].some((side) => {
    const part = child(node, side)
    if (!part) return false
    return (
      part.type === 'TemplateLiteral' ||
      (part.type === 'Literal' && typeof part['value'] === 'string') ||
      (part.type === 'BinaryExpression' && isConcatenation(part))
    )
  })
}

function otherBound({ node, text }: Place): Edit[] {
  if (node.type !== 'CallExpression' || children(node, 'arguments').length < 2) return []
  const callee = child(node, 'callee')
  const name = callee && textOf(callee, text)
  if (!callee || (name !== 'Math.min' && name !== 'Math.max')) return []
  return [{ start: callee.start, end: callee.end, text: name === 'Math.min' ? 'Math.max' : 'Math.min' }]
}

function nextNumber({ node, parents, text }: Place): Edit[] {
  if (node.type !== 'Literal' || parents.some((parent) => isLimit(parent, text)) || isIndexDefault(node, parents.at(-1))) return []
  const value = node['value']
  const edit = (next: string): Edit[] => [{ start: node.start, end: node.end, text: next }]
  if (typeof value === 'bigint') return edit(`${value + 1n}n`)
  if (typeof value !== 'number' || !Number.isFinite(value)) return []
  return edit(Number.isSafeInteger(value) ? String(value + 1) : `(${textOf(node, text)} + 1)`)
}

/** The default of an element, `row[j] ?? 0`, which the type checker asks for and which is hardly ever used. */
function isIndexDefault(node: PlacedNode, parent: PlacedNode | undefined): boolean {
  if (parent?.type !== 'LogicalExpression' || parent['operator'] !== '??' || child(parent, 'right') !== node) return false
  return child(parent, 'left')?.['computed'] === true
}

/** A constant that is a limit, `const PAGE_BYTES_MAX = …`, or a size. */
function isLimit(node: PlacedNode, text: string): boolean {
  return node.type === 'VariableDeclarator' && (LIMIT_NAME.test(nameIn(node, 'id')) || SIZE.test(`const ${textOf(node, text)}`))
}

function otherLimit({ node, text }: Place): Edit[] {
  const value = isLimit(node, text) ? child(node, 'init') : undefined
  if (!value || !NUMERIC.has(value.type) || typeof value['value'] === 'string') return []
  const isBig = value.type === 'Literal' && typeof value['value'] === 'bigint'
  const changed = (change: string): Edit => ({ start: value.start, end: value.end, text: `(${textOf(value, text)}) ${change}${isBig ? 'n' : ''}` })
  const isExact = LIMIT_NAME.test(nameIn(node, 'id')) && !TIME_NAME.test(nameIn(node, 'id'))
  return [changed(`* ${LIMIT_FACTOR}`), ...(isExact ? [changed('+ 1')] : [])]
}

function otherBoolean({ node }: Place): Edit[] {
  if (node.type !== 'Literal' || typeof node['value'] !== 'boolean') return []
  return [{ start: node.start, end: node.end, text: String(!node['value']) }]
}

/** Not for `return false`: callers treat both alike, and another operator makes it true. */
function returnUndefined({ node, text }: Place): Edit[] {
  const value = node.type === 'ReturnStatement' ? child(node, 'argument') : undefined
  if (!value || ['undefined', 'false'].includes(textOf(value, text))) return []
  return [{ start: value.start, end: value.end, text: 'undefined' }]
}
