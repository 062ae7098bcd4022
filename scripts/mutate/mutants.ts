// All mutants of a source file: the operators applied at each place, without duplicates.

import { parseSync } from 'oxc-parser'
import { OPERATORS } from './operators.ts'
import { mutablePlaces } from './syntax.ts'
import type { Edit } from './operators.ts'
import type { PlacedNode } from './syntax.ts'

/** Longest line of a diff, in characters. */
const DIFF_LINE_LENGTH_MAX = 160

export interface SourceText {
  /** Below the repository, with slashes. */
  readonly path: string
  readonly text: string
}

export interface Mutant {
  readonly file: string
  readonly operator: string
  /** First and last character of the text that is replaced, in UTF-16 units of the original. */
  readonly start: number
  readonly end: number
  /** First and last line of the changed text, counted from 1. */
  readonly line: number
  readonly lineLast: number
  /** The changed lines as one line each, with single spaces. They identify the mutant when lines move. */
  readonly before: string
  readonly after: string
  /** Text of the whole file with the change. */
  readonly mutatedText: string
}

/** Returns the mutants of a file in the order of its lines. Throws if the file does not parse. */
export function mutantsOf(source: SourceText): Mutant[] {
  const parsed = parseSync(source.path, source.text, { preserveParens: false })
  const error = parsed.errors[0]
  if (error) throw new Error(`${source.path} does not parse: ${error.message}`)
  const starts = lineStarts(source.text)
  const seen = new Set([source.text])
  const mutants: Mutant[] = []
  for (const place of mutablePlaces(parsed.program as unknown as PlacedNode, source.text)) {
    for (const operator of OPERATORS) {
      for (const edit of operator.edits(place)) {
        const mutatedText = source.text.slice(0, edit.start) + edit.text + source.text.slice(edit.end)
        if (seen.has(mutatedText)) continue
        seen.add(mutatedText)
        mutants.push({ file: source.path, operator: operator.name, start: edit.start, end: edit.end, mutatedText, ...linesOf(source.text, edit, starts) })
      }
    }
  }
  return mutants.toSorted((a, b) => a.line - b.line)
}

/** Whether the mutated file is still a program; one that does not parse proves nothing about the tests. */
export function parses(mutant: Mutant): boolean {
  return parseSync(mutant.file, mutant.mutatedText).errors.length === 0
}

function linesOf(text: string, edit: Edit, starts: readonly number[]): Pick<Mutant, 'line' | 'lineLast' | 'before' | 'after'> {
  const line = lineAt(starts, edit.start)
  const lineLast = lineAt(starts, Math.max(edit.start, edit.end - 1))
  const from = starts[line - 1] ?? 0
  const to = (starts[lineLast] ?? text.length + 1) - 1
  const inOneLine = (lines: string): string => {
    const squeezed = lines.replaceAll(/\s+/g, ' ').trim()
    return squeezed.length > DIFF_LINE_LENGTH_MAX ? `${squeezed.slice(0, DIFF_LINE_LENGTH_MAX)}…` : squeezed
  }
  return { line, lineLast, before: inOneLine(text.slice(from, to)), after: inOneLine(text.slice(from, edit.start) + edit.text + text.slice(edit.end, to)) }
}

function lineStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

/** Returns the line of an offset, counted from 1. */
function lineAt(starts: readonly number[], offset: number): number {
  let [low, high] = [0, starts.length - 1]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low + 1
}
