// The places of a source file at which a run is observed: a call is put before each statement, so that a test run tells which it reached.

import { parseSync } from 'oxc-parser'
import { child, isPlaced } from './syntax.ts'
import type { SourceText } from './mutants.ts'
import type { PlacedNode } from './syntax.ts'

/** A statement, or the expression that an arrow function returns. */
export interface Unit {
  readonly start: number
  readonly end: number
}

/** Name of the function that records that a unit is reached. */
const RECORD = '$reached'

/** A function declaration is hoisted, so that it is there for modules that import each other. */
const RECORD_FUNCTION = `function ${RECORD}(n) { const all = globalThis; all.$reached ??= typeof Bun === 'object' && Bun.env.SLIPWAY_REACHED ? Bun.mmap(Bun.env.SLIPWAY_REACHED) : []; all.$reached[n] = 1 }`

interface Insertion {
  readonly at: number
  readonly text: string
}

/** Returns the units of a file, the whole file first, and outer ones before those in them. Throws if the file does not parse. */
export function unitsOf(source: SourceText): readonly Unit[] {
  return placesOf(source).map(({ unit }) => unit)
}

/** Returns the innermost unit that a range is in. 0 is the file: its code runs when it is loaded. */
export function unitAround(units: readonly Unit[], range: Unit): number {
  let found = 0
  for (const [i, unit] of units.entries()) if (unit.start <= range.start && range.end <= unit.end) found = i
  return found
}

/** Returns the text with a call in each unit that records `first` plus the number of the unit. Lines stay where they are. */
export function instrument(source: SourceText, first: number): string {
  const insertions: Insertion[] = []
  const ends: Insertion[] = []
  for (const [i, { unit, kind }] of placesOf(source).entries()) {
    if (kind === 'file') continue
    const [before, after] =
      kind === 'expression' ? [`(${RECORD}(${first + i}), `, ')'] : kind === 'branch' ? [`{${RECORD}(${first + i});`, '}'] : [`${RECORD}(${first + i});`, '']
    insertions.push({ at: unit.start, text: before })
    // Ends of inner units come first where both end together.
    if (after !== '') ends.unshift({ at: unit.end, text: after })
  }
  let text = ''
  let at = 0
  for (const insertion of [...ends, ...insertions].toSorted((a, b) => a.at - b.at)) {
    text += source.text.slice(at, insertion.at) + insertion.text
    at = insertion.at
  }
  return `${text}${source.text.slice(at)};${RECORD}(${first});${RECORD_FUNCTION}`
}

interface UnitPlace {
  readonly unit: Unit
  readonly kind: 'file' | 'statement' | 'branch' | 'expression'
}

function placesOf({ path, text }: SourceText): UnitPlace[] {
  const parsed = parseSync(path, text, { preserveParens: false })
  const error = parsed.errors[0]
  if (error) throw new Error(`${path} does not parse: ${error.message}`)
  const places: UnitPlace[] = [{ unit: { start: 0, end: text.length }, kind: 'file' }]
  const visit = (node: PlacedNode, parent: PlacedNode | undefined, member: string): void => {
    const kind = kindOf(node, parent, member)
    if (kind) places.push({ unit: { start: node.start, end: node.end }, kind })
    for (const [name, value] of Object.entries(node)) {
      for (const item of Array.isArray(value) ? value : [value]) if (isPlaced(item)) visit(item, node, name)
    }
  }
  visit(parsed.program as unknown as PlacedNode, undefined, '')
  return places
}

function kindOf(node: PlacedNode, parent: PlacedNode | undefined, member: string): UnitPlace['kind'] | undefined {
  if (!parent) return undefined
  if (parent.type === 'ArrowFunctionExpression' && member === 'body' && node.type !== 'BlockStatement') return 'expression'
  if (parent.type === 'IfStatement' && member !== 'test' && node.type !== 'BlockStatement') return 'branch'
  const isListed =
    (member === 'body' && ['Program', 'BlockStatement', 'StaticBlock'].includes(parent.type)) || (member === 'consequent' && parent.type === 'SwitchCase')
  return isListed && isObserved(node) ? 'statement' : undefined
}

/** Functions and types do nothing where they stand, and overloads must follow one another. */
function isObserved(node: PlacedNode): boolean {
  const declared = node.type.startsWith('Export') ? child(node, 'declaration') : node
  return declared !== undefined && declared.type !== 'ImportDeclaration' && declared.type !== 'FunctionDeclaration' && !declared.type.startsWith('TS')
}
