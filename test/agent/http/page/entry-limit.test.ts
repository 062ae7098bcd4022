// The bound on wrong tokens at the page's entry.

import { describe, expect, test } from 'bun:test'
import { createEntryLimit } from '../../../../agent/http/page/entry-limit.ts'
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
  test('refuses an address that entered 10 wrong tokens, until a minute has passed', () => {
    const clock = createManualClock()
    clock.advance(3_600_000)
    const limit = createEntryLimit(clock)
    for (let i = 0; i < 10; i++) expect(isLet(limit, '192.0.2.1')).toBe(true)
    expect(isLet(limit, '192.0.2.1')).toBe(false)
    expect(isLet(limit, '::ffff:192.0.2.1')).toBe(false)
    expect(() => limit.begin('192.0.2.1')).toThrow(expect.objectContaining({ problem: expect.objectContaining({ action: 'Wait 60 s, then try again.' }) }))
    expect(isLet(limit, '192.0.2.2')).toBe(true)
    clock.advance(59_999)
    expect(() => limit.begin('192.0.2.1')).toThrow(expect.objectContaining({ problem: expect.objectContaining({ action: 'Wait 1 s, then try again.' }) }))
    clock.advance(1)
    expect(isLet(limit, '192.0.2.1')).toBe(true)
  })

  test('does not count a token that is valid, and forgives no wrong one for it', () => {
    const limit = createEntryLimit(createManualClock())
    for (let i = 0; i < 30; i++) {
      expect(isLet(limit, '192.0.2.1')).toBe(true)
      limit.succeed('192.0.2.1')
    }
    for (let i = 0; i < 10; i++) {
      expect(isLet(limit, '192.0.2.1')).toBe(true)
      if (i === 9) break
      limit.begin('192.0.2.9')
      limit.succeed('192.0.2.9')
    }
    expect(isLet(limit, '192.0.2.1')).toBe(false)
  })

  test('counts the addresses of one IPv6 network together', () => {
    const limit = createEntryLimit(createManualClock())
    for (let i = 0; i < 10; i++) expect(isLet(limit, `2001:db8::${i + 1}`)).toBe(true)
    expect(isLet(limit, '2001:db8::ffff')).toBe(false)
    expect(isLet(limit, '2001:db8:0:0:ff00::1')).toBe(false)
    expect(isLet(limit, '2001:db8:0:1::1')).toBe(true)
    expect(isLet(limit, '3001:db8::1')).toBe(true)
  })

  test('remembers 10,000 addresses', () => {
    const limit = createEntryLimit(createManualClock())
    for (let i = 0; i < 10; i++) limit.begin('192.0.2.1')
    for (let i = 1; i < 10_000; i++) limit.begin(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    expect(isLet(limit, '192.0.2.1')).toBe(false)
    limit.begin('198.51.100.1')
    expect(isLet(limit, '192.0.2.1')).toBe(true)
  })

  test('forgets the address whose minute began first, even if it entered tokens before that minute as well', () => {
    const clock = createManualClock()
    const limit = createEntryLimit(clock)
    limit.begin('192.0.2.1')
    limit.begin('192.0.2.2')
    clock.advance(60_000)
    for (let i = 0; i < 10; i++) limit.begin('192.0.2.1')
    for (let i = 1; i < 10_000; i++) limit.begin(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
    expect(isLet(limit, '192.0.2.1')).toBe(false)
  })
})
