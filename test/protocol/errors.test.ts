// Caught values read by text and code.

import { describe, expect, test } from 'bun:test'
import { open } from 'node:fs/promises'
import { errorCode, errorText, hasCode } from '../../protocol/errors.ts'

const missing: unknown = await open('/nonexistent/file').catch((error: unknown) => error)

describe('errorText', () => {
  test.each([
    ['an error', new RangeError('too long'), 'too long'],
    ['a text', 'gone', 'gone'],
    ['undefined', undefined, 'undefined'],
  ])('of %s', (_what, thrown, text) => {
    expect(errorText(thrown)).toBe(text)
  })
})

describe('hasCode', () => {
  test('finds the code of a system error among those asked for', () => {
    expect([hasCode(missing, 'ENOENT'), hasCode(missing, 'EACCES', 'ENOENT'), hasCode(missing, 'EACCES')]).toEqual([true, true, false])
  })

  test.each([
    ['an error without a code', new Error('ENOENT')],
    ['a code that is not a text', Object.assign(new Error('x'), { code: 2 })],
    ['a value that is not an error', { code: 'ENOENT' }],
  ])('is false for %s', (_what, thrown) => {
    expect(hasCode(thrown, 'ENOENT')).toBe(false)
    expect(errorCode(thrown)).toBeUndefined()
  })
})
