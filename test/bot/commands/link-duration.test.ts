// How long a link is valid, at the bounds.

import { describe, expect, test } from 'bun:test'
import { linkSeconds } from '../../../bot/commands/link-duration.ts'

describe('for=', () => {
  test.each([
    [undefined, 3600],
    ['1s', 1],
    ['1.9s', 1],
    ['30m', 1800],
    ['2h', 7200],
    ['7d', 604_800],
  ])('%s is %i s', (text, seconds) => {
    expect(linkSeconds(text)).toBe(seconds)
  })

  test.each(['0s', '0.9s', '8d', '169h', '604801s', 'long', ''])('%s is refused', (text) => {
    expect(() => linkSeconds(text)).toThrow(`for=${text} is not a duration of up to 7d.`)
  })
})
