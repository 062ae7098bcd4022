// What a person reads of a value that an option does not take.

import { expect, test } from 'bun:test'
import { z } from 'zod'
import { refuseChoice, refuseIssue } from '../../../bot/commands/refused-value.ts'

const CORRECT = 'Correct the value and run the command again.'

test.each<[what: string, schema: z.ZodType, parsed: unknown, value: string, sentence: string, action: string]>([
  ['no number', z.int(), Number.NaN, 'x', 'key=x is not a whole number.', 'Write a whole number, such as 2.'],
  ['a fraction', z.int(), 1.5, '1.5', 'key=1.5 is not a whole number.', 'Write a whole number, such as 2.'],
  ['a small number', z.number().min(3), 2, '2', 'key=2 is too small.', 'Write a number of at least 3.'],
  ['a large number', z.number().max(3), 4, '4', 'key=4 is too large.', 'Write a number of at most 3.'],
  ['an empty text', z.string().min(1), '', '', 'key="" is empty.', 'Write at least one character.'],
  ['an empty part', z.array(z.string().min(1)), ['a', ''], 'a,', 'key=a, has an empty part.', 'Write at least one character.'],
  ['a long text', z.string().max(2), 'abc', 'abc', 'key=abc is too long.', 'Write at most 2 characters.'],
  ['too many values', z.array(z.string()).max(1), ['a', 'b'], 'a,b', 'key=a,b has too many values.', 'Write at most 1.'],
  ['no time', z.iso.datetime(), 'soon', 'soon', 'key=soon is not a time.', 'Write it as 2026-11-21 or 2026-11-21T06:00:00Z.'],
  ['another format', z.email(), 'x', 'x', 'key=x is not valid.', CORRECT],
  ['another type', z.string(), 1, '1', 'key=1 is not valid.', CORRECT],
  ['a choice', z.enum(['raw', 'iso']), 'ras', 'ras', 'key=ras is not valid.', 'Did you mean key=raw? Use one of: raw, iso.'],
  ['a boolean', z.boolean(), 'x', 'maybe', 'key=maybe is not valid.', 'Use one of: true, false.'],
  ['a long key', z.record(z.string().max(2), z.string()), { abc: '' }, 'abc=', 'key=abc= is too long.', 'Write at most 2 characters.'],
  ['a sentence of a schema', z.string().refine(() => false, 'must begin with a letter'), '1', '1', 'key=1 is not valid: it must begin with a letter.', CORRECT],
])('%s', (_what, schema, parsed, value, sentence, action) => {
  const refused = refuseIssue('key', value, schema.safeParse(parsed).error?.issues[0])
  expect([refused.code, refused.problem.detail, refused.problem.action]).toEqual(['invalid-input', sentence, action])
})

test('without an issue it is not valid', () => {
  expect(refuseIssue('key', 'x', undefined).problem).toMatchObject({ detail: 'key=x is not valid.', action: CORRECT })
})

test.each([
  ['x'.repeat(64), `key=${'x'.repeat(64)} is not valid.`],
  ['a b', 'key="a b" is not valid.'],
])('%s is repeated', (value, sentence) => {
  expect(refuseChoice('key', value, ['raw']).problem).toMatchObject({ detail: sentence, action: 'Use one of: raw.' })
})

test('a long value is shortened', () => {
  const { detail } = refuseChoice('key', 'x'.repeat(65), ['raw']).problem
  expect(detail).toStartWith('key="xxx')
})
