// Index trust: damage stays known until a rebuild ends without new damage.

import { describe, expect, test } from 'bun:test'
import { IndexTrust } from '../../../../agent/slices/index/index-trust.ts'

describe('an index that was damaged', () => {
  test('is intact once its rebuild has finished', () => {
    const trust = new IndexTrust()
    trust.distrust('a row is wrong')
    expect([trust.isDistrusted, trust.damage]).toEqual([true, 'a row is wrong'])
    trust.rebuildStarted()
    expect([trust.isDistrusted, trust.damage]).toEqual([false, 'a row is wrong'])
    expect(trust.rebuildFinished()).toBe(true)
    expect([trust.isDistrusted, trust.damage]).toEqual([false, undefined])
  })

  test('stays damaged when new damage is found during its rebuild', () => {
    const trust = new IndexTrust()
    const reasons: string[] = []
    trust.watch({ distrusted: (reason) => void reasons.push(reason), untidy: () => {} })
    trust.distrust('a row is wrong')
    trust.rebuildStarted()
    trust.distrust('a block is damaged')
    expect(trust.rebuildFinished()).toBe(false)
    expect([trust.isDistrusted, trust.damage]).toEqual([true, 'a block is damaged'])
    expect(reasons).toEqual(['a row is wrong', 'a block is damaged'])
  })

  test('is reported to a watcher that registers later', () => {
    const trust = new IndexTrust()
    trust.distrust('a row is wrong')
    const reasons: string[] = []
    trust.watch({ distrusted: (reason) => void reasons.push(reason), untidy: () => {} })
    expect(reasons).toEqual(['a row is wrong'])
  })
})
