// Mutations of conditions: negation, the other comparison, the other connective, a member that is not optional any more.

import { child, textOf } from './syntax.ts'
import type { Edit, Operator } from './operators.ts'
import type { Place, PlacedNode } from './syntax.ts'

const OTHER_COMPARISON: Readonly<Record<string, string>> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '==': '!=',
  '!=': '==',
}

const OTHER_CONNECTIVE: Readonly<Record<string, string>> = { '&&': '||', '||': '&&' }

const CONDITIONAL = new Set(['IfStatement', 'ConditionalExpression', 'WhileStatement', 'DoWhileStatement'])

export const CONDITION_OPERATORS: readonly Operator[] = [
  { name: 'negate condition', edits: negateCondition },
  { name: 'comparison', edits: (place) => otherOperator(place, ['BinaryExpression'], OTHER_COMPARISON) },
  { name: 'and/or', edits: (place) => otherOperator(place, ['LogicalExpression'], OTHER_CONNECTIVE) },
  { name: 'optional chaining', edits: notOptional },
]

function negateCondition({ node, text }: Place): Edit[] {
  const test = CONDITIONAL.has(node.type) ? child(node, 'test') : undefined
  if (!test || (test.type === 'Literal' && typeof test['value'] === 'boolean')) return []
  // The comparison operator has this mutant already.
  if (test.type === 'BinaryExpression' && /^[!=]==?$/.test(String(test['operator']))) return []
  const argument = test.type === 'UnaryExpression' && test['operator'] === '!' ? child(test, 'argument') : undefined
  return [{ start: test.start, end: test.end, text: argument ? textOf(argument, text) : `!(${textOf(test, text)})` }]
}

/** Returns the edit that puts another operator between the two sides. */
export function otherOperator({ node, text }: Place, types: readonly string[], others: Readonly<Record<string, string>>): Edit[] {
  if (!types.includes(node.type)) return []
  const operator = String(node['operator'])
  const other = others[operator]
  const left = child(node, 'left')
  const right = child(node, 'right')
  if (other === undefined || !left || !right) return []
  const start = text.indexOf(operator, left.end)
  return start < 0 || start >= right.start ? [] : [{ start, end: start + operator.length, text: other }]
}

function notOptional({ node, text }: Place): Edit[] {
  if (node['optional'] !== true) return []
  const object: PlacedNode | undefined = child(node, 'object') ?? child(node, 'callee')
  if (!object) return []
  const start = text.indexOf('?.', object.end)
  const isDotted = node.type === 'MemberExpression' && node['computed'] !== true
  return start < 0 || start >= node.end ? [] : [{ start, end: start + 2, text: isDotted ? '.' : '' }]
}
