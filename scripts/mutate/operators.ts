// The table of mutation operators. Each looks at one node and returns the edits that break it.

import { CONDITION_OPERATORS } from './condition-operators.ts'
import { STATEMENT_OPERATORS } from './statement-operators.ts'
import { VALUE_OPERATORS } from './value-operators.ts'
import type { Place } from './syntax.ts'

/** Replaces the text from `start` up to `end`. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

export interface Operator {
  readonly name: string
  edits(place: Place): Edit[]
}

export const OPERATORS: readonly Operator[] = [...CONDITION_OPERATORS, ...VALUE_OPERATORS, ...STATEMENT_OPERATORS]
