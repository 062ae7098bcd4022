// Range fields (RFC 9110 §14) as literal outcomes.

import { describe, expect, test } from 'bun:test'
import { parseRange } from '../../../../agent/http/content/ranges.ts'

const WHOLE = { kind: 'whole' } as const
const part = (start: number, end: number) => ({ kind: 'part', start, end }) as const

/** A field with ranges beyond a content of 100 bytes, and one range of it at the end. */
const fieldOf = (ranges: number): string => `bytes=${[...Array.from({ length: ranges - 1 }, (_, i) => `${1000 + i}-`), '10-19'].join(',')}`

describe('a Range field', () => {
  test.each([
    ['bytes=0-9', part(0, 10)],
    ['bytes=99-', part(99, 100)],
    ['bytes=0-1000', part(0, 100)],
    ['bytes=-1', part(99, 100)],
    ['bytes=-1000', part(0, 100)],
    ['bytes=5-5', part(5, 6)],
    ['bytes=100-', { kind: 'unsatisfiable' }],
    ['bytes=-0', { kind: 'unsatisfiable' }],
    ['bytes=9-8', WHOLE],
    ['bytes=0-1,5-6', WHOLE],
    ['bytes=', WHOLE],
    ['lines=0-9', WHOLE],
    [null, WHOLE],
  ] as const)('%p of 100 bytes', (field, outcome) => {
    expect(parseRange(field, 100)).toEqual(outcome)
  })

  test('with 16 ranges is examined, and with more is ignored', () => {
    expect(parseRange(fieldOf(16), 100)).toEqual(part(10, 20))
    expect(parseRange(fieldOf(17), 100)).toEqual(WHOLE)
  })
})

test('positions of a Range field are exact up to 15 digits; longer ones are beyond every length', () => {
  const digits = (count: number) => `bytes=${10 ** (count - 1) + 1}-${10 ** (count - 1)}`
  // The last position is before the first one, so the field is not valid.
  expect(parseRange(digits(15), 100)).toEqual({ kind: 'whole' })
  expect(parseRange(digits(16), 100)).toEqual({ kind: 'unsatisfiable' })
})
