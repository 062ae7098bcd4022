// The bound on wrong tokens at the page's entry.

import { describe, expect, test } from 'bun:test'
import { ADDRESSES_MAX, createEntryLimit, WINDOW_MS, WRONG_TOKENS_MAX } from '../../../../agent/http/page/entry-limit.ts'
import type { EntryLimit } from '../../../../agent/http/page/entry-limit.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'

const isLet = (limit: EntryLimit, address: string): boolean => {
  try {
    limit.begin(address)
    return true
  } catch {
    return false
  }
}

describe('the limit of the entry', () => {
  test('refuses an address that entered too many wrong tokens, until its window ends', () => {
    const clock = createManualClock()
    const limit = createEntryLimit(clock)
    for (let i = 0; i < WRONG_TOKENS_MAX; i++) expect(isLet(limit, '192.0.2.1')).toBe(true)
    expect(isLet(limit, '192.0.2.1')).toBe(false)
    expect(isLet(limit, '::ffff:192.0.2.1')).toBe(false)
    expect(isLet(limit, '192.0.2.2')).toBe(true)
    clock.advance(WINDOW_MS - 1)
    expect(isLet(limit, '192.0.2.1')).toBe(false)
    clock.advance(1)
    expect(isLet(limit, '192.0.2.1')).toBe(true)
  })

  test('does not count a token that is valid, and forgives no wrong one for it', () => {
    const limit = createEntryLimit(createManualClock())
    for (let i = 0; i < 3 * WRONG_TOKENS_MAX; i++) {
      expect(isLet(limit, '192.0.2.1')).toBe(true)
      limit.succeed('192.0.2.1')
    }
    for (let i = 0; i < WRONG_TOKENS_MAX; i++) {
      expect(isLet(limit, '192.0.2.1')).toBe(true)
      if (i === WRONG_TOKENS_MAX - 1) break
      limit.begin('192.0.2.9')
      limit.succeed('192.0.2.9')
    }
    expect(isLet(limit, '192.0.2.1')).toBe(false)
  })

  test('counts the addresses of one IPv6 network together', () => {
    const limit = createEntryLimit(createManualClock())
    for (let i = 0; i < WRONG_TOKENS_MAX; i++) expect(isLet(limit, `2001:db8::${i + 1}`)).toBe(true)
    expect(isLet(limit, '2001:db8::ffff')).toBe(false)
    expect(isLet(limit, '2001:db8:0:1::1')).toBe(true)
  })

  test('remembers a bounded number of addresses', () => {
    const limit = createEntryLimit(createManualClock())
    for (let i = 0; i < WRONG_TOKENS_MAX; i++) limit.begin('192.0.2.1')
    for (let i = 1; i < ADDRESSES_MAX; i++) limit.begin(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    expect(isLet(limit, '192.0.2.1')).toBe(false)
    limit.begin('198.51.100.1')
    expect(isLet(limit, '192.0.2.1')).toBe(true)
  })
})
