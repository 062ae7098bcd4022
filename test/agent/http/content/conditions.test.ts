// Conditional requests (RFC 9110 §13) as literal outcomes, for content that changed half a second after a whole one.

import { describe, expect, test } from 'bun:test'
import { evaluateConditions, formatHttpDate, rangeApplies } from '../../../../agent/http/content/conditions.ts'

const SHOWN = { etag: '"abc"', lastModifiedMs: Date.UTC(2026, 10, 21, 12, 0, 5, 500) }
const SECOND_BEFORE = 'Sat, 21 Nov 2026 12:00:04 GMT'
const SECOND = 'Sat, 21 Nov 2026 12:00:05 GMT'
const SECOND_AFTER = 'Sat, 21 Nov 2026 12:00:06 GMT'

test('a time is shown as an HTTP date, in whole seconds', () => {
  expect(formatHttpDate(SHOWN.lastModifiedMs)).toBe(SECOND)
})

describe('a request', () => {
  test.each<[fields: Record<string, string>, outcome: 'proceed' | 'not-modified' | 'failed']>([
    [{}, 'proceed'],
    [{ 'if-match': '"abc"' }, 'proceed'],
    [{ 'if-match': '*' }, 'proceed'],
    [{ 'if-match': ' * ' }, 'proceed'],
    [{ 'if-match': '"x", "abc"' }, 'proceed'],
    [{ 'if-match': 'W/"abc"' }, 'failed'],
    [{ 'if-match': '"abcd"' }, 'failed'],
    [{ 'if-match': '' }, 'failed'],
    [{ 'if-unmodified-since': SECOND_BEFORE }, 'failed'],
    [{ 'if-unmodified-since': SECOND }, 'proceed'],
    [{ 'if-unmodified-since': SECOND_AFTER }, 'proceed'],
    [{ 'if-unmodified-since': 'yesterday' }, 'proceed'],
    // A tag is decisive where there is one.
    [{ 'if-match': '"abc"', 'if-unmodified-since': SECOND_BEFORE }, 'proceed'],
    [{ 'if-none-match': '"abc"' }, 'not-modified'],
    [{ 'if-none-match': 'W/"abc"' }, 'not-modified'],
    [{ 'if-none-match': '*' }, 'not-modified'],
    [{ 'if-none-match': '"x"' }, 'proceed'],
    [{ 'if-modified-since': SECOND_BEFORE }, 'proceed'],
    [{ 'if-modified-since': SECOND }, 'not-modified'],
    [{ 'if-modified-since': ` ${SECOND} ` }, 'not-modified'],
    [{ 'if-modified-since': SECOND_AFTER }, 'not-modified'],
    [{ 'if-modified-since': '2026-11-22T00:00:00Z' }, 'proceed'],
    [{ 'if-modified-since': 'never GMT' }, 'proceed'],
    [{ 'if-none-match': '"x"', 'if-modified-since': SECOND_AFTER }, 'proceed'],
    // The preconditions that refuse come first.
    [{ 'if-match': '"x"', 'if-none-match': '"abc"' }, 'failed'],
    [{ 'if-match': '"abc"', 'if-none-match': '"abc"' }, 'not-modified'],
  ])('with %j: %s', (fields, outcome) => {
    expect(evaluateConditions(new Headers(fields), SHOWN)).toBe(outcome)
  })

  test.each<[ifRange: string | undefined, applies: boolean]>([
    [undefined, true],
    ['"abc"', true],
    [' "abc" ', true],
    ['W/"abc"', false],
    ['"x"', false],
    [SECOND, true],
    [SECOND_BEFORE, false],
    // A client that saw a later version has other bytes.
    [SECOND_AFTER, false],
    ['abc', false],
  ])('with If-Range %p has its range: %p', (ifRange, applies) => {
    expect(rangeApplies(new Headers(ifRange === undefined ? {} : { 'if-range': ifRange }), SHOWN)).toBe(applies)
  })
})
