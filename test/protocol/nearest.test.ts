// Which known name a mistyped one is taken for, and what looking for it costs at most.

import { describe, expect, test } from 'bun:test'
import { COMPARED_LENGTH_MAX, nearestName, quoteName, suggestName } from '../../protocol/nearest.ts'

const inQuotes = (name: string): string => `"${name}"`

describe('the nearest name', () => {
  test.each([
    ['lst', ['list', 'show', 'add'], 'list'],
    ['helth', ['health', 'help'], 'health'],
    ['stroe', ['store', 'schedule'], 'store'],
    ['MOUNT', ['name', 'mount'], 'mount'],
    ['mediagroup', ['mediaGroup'], 'mediaGroup'],
    ['desc', ['name', 'description'], 'description'],
    ['d', ['description'], undefined],
    ['xyz', ['store', 'image'], undefined],
    ['', ['store', 'a'], 'a'],
    ['list', [], undefined],
    // Of up to five characters one may differ, of six to eight two, of nine three.
    ['abcde', ['abcdX'], 'abcdX'],
    ['abcde', ['abcXY'], undefined],
    ['abcdef', ['abcdXY'], 'abcdXY'],
    ['abcdefgh', ['abcdeXYZ'], undefined],
    ['abcdefghi', ['abcdefXYZ'], 'abcdefXYZ'],
    ['abcdefghi', ['abcdeWXYZ'], undefined],
    // The first of two that are equally near, a beginning like one difference, and two neighbours that are swapped too.
    ['ab', ['ac', 'ad'], 'ac'],
    ['tokne', ['toke1', 'token'], 'token'],
    ['abcdef', ['abdcef', 'abcdXY'], 'abdcef'],
    ['ba', ['ab'], 'ab'],
    ['li', ['xi', 'listing'], 'xi'],
    ['lis', ['xyz', 'listing'], 'listing'],
  ])('to %p', (text, names, expected) => {
    expect(nearestName(text, names)).toBe(expected)
  })

  test('is not looked for when the text is longer than any name', () => {
    const known = ['a'.repeat(COMPARED_LENGTH_MAX)]
    expect(nearestName(`${'a'.repeat(COMPARED_LENGTH_MAX - 1)}b`, known)).toBe(known[0])
    expect(nearestName('a'.repeat(COMPARED_LENGTH_MAX + 1), known)).toBeUndefined()
    expect(nearestName('a'.repeat(64), ['a'.repeat(64)])).toBe('a'.repeat(64))
    expect(nearestName('a'.repeat(64), [`${'a'.repeat(63)}bc`])).toBeUndefined()
  })
})

describe('the end of a sentence on an unknown name', () => {
  test.each([
    ['lst', ['list', 'show'], '; did you mean "list"?'],
    ['xyz', ['list', 'show'], '; known are "list", "show".'],
    ['xyz', ['list'], '; the only one is "list".'],
    ['xyz', [], '; none is accepted here.'],
  ])('%s of %p', (text, names, expected) => {
    expect(suggestName(text, names, inQuotes)).toBe(expected)
  })
})

test('a name in a sentence is shortened when it is too long to be one of ours', () => {
  expect(quoteName('a"b')).toBe('"a\\"b"')
  expect(quoteName('x'.repeat(COMPARED_LENGTH_MAX))).toBe(`"${'x'.repeat(COMPARED_LENGTH_MAX)}"`)
  expect(quoteName('x'.repeat(COMPARED_LENGTH_MAX + 1))).toBe(`"${'x'.repeat(COMPARED_LENGTH_MAX)}…"`)
})
