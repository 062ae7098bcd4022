// Values that an option does not take: one sentence that says what is wrong, and a next step with the values that it takes.

import type { z } from 'zod'
import { nearestName, quoteName } from '../../protocol/nearest.ts'
import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'

/** The refusal of a value that is none of the known ones, with the nearest of them. */
export function refuseChoice(option: string, value: string, known: readonly string[]): ProblemError {
  const meant = nearestName(value, known)
  const choices = `Use one of: ${known.join(', ')}.`
  return problem('invalid-input', `${option}=${shown(value)} is not valid.`, {
    action: meant === undefined ? choices : `Did you mean ${option}=${meant}? ${choices}`,
  })
}

/** The refusal of a value in which a schema found an issue. `value` is as the person wrote it. */
export function refuseIssue(option: string, value: string, issue: z.core.$ZodIssue | undefined): ProblemError {
  const choices = issue && choicesOf(issue)
  if (choices) return refuseChoice(option, value, choices)
  const [wrong, next] = wordsOf(issue, value)
  return problem('invalid-input', `${option}=${shown(value)} ${wrong}.`, { action: next })
}

function choicesOf(issue: z.core.$ZodIssue): readonly string[] | undefined {
  if (issue.code === 'invalid_value') return issue.values.map(String)
  return issue.code === 'invalid_type' && issue.expected === 'boolean' ? ['true', 'false'] : undefined
}

/** What is wrong with a value and what to write, in words that need no knowledge of schemas. */
function wordsOf(issue: z.core.$ZodIssue | undefined, value: string): readonly [wrong: string, next: string] {
  switch (issue?.code) {
    case 'invalid_type':
      if (issue.expected === 'number' || issue.expected === 'int') return ['is not a whole number', 'Write a whole number, such as 2.']
      break
    case 'too_small':
      if (issue.origin === 'string') return [value === '' ? 'is empty' : 'has an empty part', 'Write at least one character.']
      return ['is too small', `Write a number of at least ${issue.minimum}.`]
    case 'too_big':
      if (issue.origin === 'string') return ['is too long', `Write at most ${issue.maximum} characters.`]
      if (issue.origin === 'array') return ['has too many values', `Write at most ${issue.maximum}.`]
      return ['is too large', `Write a number of at most ${issue.maximum}.`]
    case 'invalid_format':
      if (issue.format === 'datetime') return ['is not a time', 'Write it as 2026-11-21 or 2026-11-21T06:00:00Z.']
      break
    case 'invalid_key':
      return wordsOf(issue.issues[0], value)
    case 'custom':
    case 'invalid_element':
    case 'invalid_union':
    case 'invalid_value':
    case 'not_multiple_of':
    case 'unrecognized_keys':
    case undefined:
      break
  }
  // The schemas of the protocol speak in sentences that continue the name of the member.
  const isSentence = /^(?:must|is|has|cannot) /.test(issue?.message ?? '')
  return [isSentence ? `is not valid: it ${issue?.message ?? ''}` : 'is not valid', 'Correct the value and run the command again.']
}

/** The value as it is repeated: in quotes when it is empty or has spaces, and shortened when it is long. */
function shown(value: string): string {
  return /^\S{1,64}$/.test(value) ? value : quoteName(value)
}
