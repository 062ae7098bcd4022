// The nodes of a source file that may be mutated. Types, log calls, messages and lines that the type checker proves unreachable are left out.

import { isNode } from '../../test/tidy/source-tree.ts'
import type { SyntaxNode } from '../../test/tidy/source-tree.ts'

/** A node with its place in the text, in UTF-16 units. */
export interface PlacedNode extends SyntaxNode {
  readonly start: number
  readonly end: number
}

export interface Place {
  readonly node: PlacedNode
  /** The nodes around it, the nearest last. */
  readonly parents: readonly PlacedNode[]
  /** Text of the whole file. */
  readonly text: string
}

/** TypeScript nodes that have code in them. */
const WRAPPERS = new Set(['TSAsExpression', 'TSSatisfiesExpression', 'TSNonNullExpression', 'TSInstantiationExpression'])
/** Logging, assertions, and the places where tests end the process. */
const LOG_CALL = /(?:^|[.#?])(?:log|logger)\??\.(?:debug|info|warn|error)$|^console\.|^assert\b|(?:^|[.#])crashPoint$/
const ERROR_CLASS = /(?:Error|Refused|Corrupt|Damaged|Failed|Problem|Violation)$/
/** Members that hold sentences for people. */
const MESSAGE_MEMBERS = new Set(['detail', 'action', 'impact', 'message', 'summary', 'description', 'hint', 'reason', 'title', 'advice'])
const STATEMENTS_WITH_PROOF = new Set(['ReturnStatement', 'ThrowStatement', 'ExpressionStatement', 'VariableDeclaration', 'SwitchCase'])

/** Returns every node that may be mutated, outer nodes first. */
export function* mutablePlaces(node: PlacedNode, text: string, parents: readonly PlacedNode[] = []): Generator<Place> {
  if (isLeftOut(node, text)) return
  yield { node, parents, text }
  const inner = [...parents, node]
  for (const member of Object.values(node)) {
    if (Array.isArray(member)) {
      for (const item of member) if (isPlaced(item)) yield* mutablePlaces(item, text, inner)
    } else if (isPlaced(member)) yield* mutablePlaces(member, text, inner)
  }
}

export function isPlaced(value: unknown): value is PlacedNode {
  return isNode(value) && typeof value['start'] === 'number' && typeof value['end'] === 'number'
}

/** Returns the text of a node. */
export function textOf(node: PlacedNode, text: string): string {
  return text.slice(node.start, node.end)
}

/** Returns the child of a node; undefined where it has none of that name. */
export function child(node: PlacedNode, member: string): PlacedNode | undefined {
  const value = node[member]
  return isPlaced(value) ? value : undefined
}

/** Returns the children of a node in a list such as `body` or `arguments`. */
export function children(node: PlacedNode, member: string): readonly PlacedNode[] {
  const value = node[member]
  return Array.isArray(value) ? value.filter(isPlaced) : []
}

/** Returns the name of a child that is an identifier, else an empty string. */
export function nameIn(node: PlacedNode, member: string): string {
  const name = child(node, member)?.['name']
  return typeof name === 'string' ? name : ''
}

/** Returns the call in an expression statement, awaited or not; undefined for any other statement. */
export function statementCall(node: PlacedNode): PlacedNode | undefined {
  if (node.type !== 'ExpressionStatement') return undefined
  let expression = child(node, 'expression')
  while (expression && ['AwaitExpression', 'ChainExpression', 'UnaryExpression'].includes(expression.type))
    expression = child(expression, 'argument') ?? child(expression, 'expression')
  return expression?.type === 'CallExpression' ? expression : undefined
}

function isLeftOut(node: PlacedNode, text: string): boolean {
  if (node.type.startsWith('TS')) return !WRAPPERS.has(node.type)
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
      return true
    case 'CallExpression':
      return isLogCall(node, text)
    case 'NewExpression':
      return ERROR_CLASS.test(nameIn(node, 'callee'))
    case 'Property':
      return MESSAGE_MEMBERS.has(nameIn(node, 'key'))
    case 'TemplateLiteral':
      return children(node, 'quasis').some((quasi) => /[a-z] [a-z]/i.test(textOf(quasi, text)))
    case 'IfStatement':
      return onlyLogs(node, text)
    default:
      return STATEMENTS_WITH_PROOF.has(node.type) && isProofOrLog(node, text)
  }
}

/** Whether a condition only decides what is logged. One that calls something may change more than that. */
function onlyLogs(node: PlacedNode, text: string): boolean {
  const test = child(node, 'test')
  const branches = [child(node, 'consequent'), child(node, 'alternate')].filter((branch) => branch !== undefined)
  if (!test || textOf(test, text).includes('(')) return false
  return branches.flatMap((branch) => (branch.type === 'BlockStatement' ? children(branch, 'body') : [branch])).every((branch) => isLogStatement(branch, text))
}

function isLogStatement(node: PlacedNode, text: string): boolean {
  const call = statementCall(node)
  return call ? isLogCall(call, text) : node.type === 'IfStatement' && onlyLogs(node, text)
}

function isProofOrLog(node: PlacedNode, text: string): boolean {
  const call = statementCall(node)
  if (call && isLogCall(call, text)) return true
  return /\bsatisfies never\b/.test(textOf(node, text)) && !textOf(node, text).includes('=>')
}

function isLogCall(call: PlacedNode, text: string): boolean {
  const callee = child(call, 'callee')
  return callee !== undefined && LOG_CALL.test(textOf(callee, text))
}
