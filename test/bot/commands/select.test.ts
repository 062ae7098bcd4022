// Parts of ids that name a thing, and what an answer of an agent becomes.

import { describe, expect, test } from 'bun:test'
import { answerOf, isPartOf, orUndefined } from '../../../bot/commands/select.ts'
import type { Contact } from '../../../bot/fleet/fleet.ts'
import { makeProblem, problem, ProblemError } from '../../../protocol/problems.ts'

describe('a part of img_01jd0abcdefgh', () => {
  test.each([
    ['img_01jd0abcdefgh', true],
    ['img_01jd', true],
    ['01jd', true],
    ['efgh', true],
    ['img_efgh', true],
    ['img_01j', false],
    ['fgh', false],
    ['abcd', false],
    ['mg_01jd', false],
    ['g_01jd0', false],
    ['_01jd', false],
    ['upl_01jd', false],
    ['', false],
  ])('%j: %p', (text, isPart) => {
    expect(isPartOf(text, 'img_01jd0abcdefgh')).toBe(isPart)
  })
})

test('what is not found is undefined; every other refusal is thrown', async () => {
  expect(await orUndefined(Promise.resolve(1))).toBe(1)
  expect(await orUndefined(Promise.reject(problem('not-found', 'x')))).toBeUndefined()
  await expect(orUndefined(Promise.reject(problem('forbidden', 'no')))).rejects.toThrow('no')
  await expect(orUndefined(Promise.reject(new Error('broken')))).rejects.toThrow('broken')
})

test('a refusal of an agent is thrown as it came', () => {
  const document = makeProblem('image-protected', 'disk is protected')
  const error = new ProblemError(document)
  const contact = { kind: 'refused', error, problem: document } as Contact<never>
  expect(() => answerOf(contact)).toThrow(error)
})
