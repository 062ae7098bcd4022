// Plans that were shown: their hash, how long they are kept, and what changed.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { createShownPlans, PLAN_LENGTH_MAX, planChanges, planHash, PLANS_KEPT } from '../../../bot/approvals/plans.ts'
import type { PlanFacts } from '../../../bot/approvals/plans.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'

const PLAN: PlanFacts = {
  names: ['one'],
  essence: ['img_1 edge-a'],
  checks: [{ label: 'In use', passed: true }],
  promises: [
    { label: 'Bytes', value: '1 GB' },
    { label: 'Duration', value: 'about 1 s', isEstimate: true },
  ],
}

describe('the hash of a plan', () => {
  test('is 128 bits of SHA-256 over everything that is promised', () => {
    expect(planHash(PLAN)).toBe('f34179636da6c9d7c1ecdfc889211583')
  })

  const changes: [string, PlanFacts][] = [
    ['a name', { ...PLAN, names: ['two'] }],
    ['what it reaches', { ...PLAN, essence: ['img_2 edge-a'] }],
    ['one thing more', { ...PLAN, essence: ['img_1 edge-a', 'img_2 edge-a'] }],
    ['a check', { ...PLAN, checks: [{ label: 'In use', passed: false }] }],
    ['a figure', { ...PLAN, promises: [{ label: 'Bytes', value: '2 GB' }] }],
    ['no figure', { ...PLAN, promises: [] }],
    ['a figure that becomes a name', { ...PLAN, names: ['one', 'Bytes'] }],
  ]
  test.each(changes)('differs with %s', (_what, plan) => {
    expect(planHash(plan)).not.toBe(planHash(PLAN))
  })

  test('is the same with another estimate', () => {
    expect(planHash({ ...PLAN, promises: [{ label: 'Bytes', value: '1 GB' }] })).toBe(planHash(PLAN))
  })

  test('never joins or moves words from one part to another', () => {
    const words = fc.array(fc.string(), { maxLength: 3 })
    fc.assert(
      fc.property(words, words, words, words, (names, essence, otherNames, otherEssence) => {
        const [one, other] = [
          { ...PLAN, names, essence },
          { ...PLAN, names: otherNames, essence: otherEssence },
        ]
        const isSame = JSON.stringify([names, essence]) === JSON.stringify([otherNames, otherEssence])
        expect(planHash(one) === planHash(other)).toBe(isSame)
      }),
      { numRuns: 200 },
    )
  })
})

describe('a shown plan', () => {
  test('is found by its hash, until many others were shown', () => {
    const plans = createShownPlans(openMemoryDatabase())
    const hash = plans.keep(PLAN, 0)
    expect(hash).toBe(planHash(PLAN))
    expect(plans.find(hash)).toEqual(PLAN)
    expect(plans.find('x')).toBeUndefined()
    for (let i = 1; i < PLANS_KEPT; i++) plans.keep({ ...PLAN, names: [String(i)] }, i)
    expect(plans.find(hash)).toEqual(PLAN)
    plans.keep({ ...PLAN, names: ['last'] }, PLANS_KEPT)
    expect(plans.find(hash)).toBeUndefined()
  })

  test('that is shown again is as young as a new one', () => {
    const plans = createShownPlans(openMemoryDatabase())
    const hash = plans.keep(PLAN, 0)
    plans.keep({ ...PLAN, names: ['second'] }, 1)
    plans.keep(PLAN, 2)
    for (let i = 0; i < PLANS_KEPT - 1; i++) plans.keep({ ...PLAN, names: [String(i)] }, 3 + i)
    expect(plans.find(hash)).toEqual(PLAN)
    expect(plans.find(planHash({ ...PLAN, names: ['second'] }))).toBeUndefined()
  })

  test('that is too long has a hash, but is not kept', () => {
    const plans = createShownPlans(openMemoryDatabase())
    const long: PlanFacts = { ...PLAN, essence: ['x'.repeat(PLAN_LENGTH_MAX)] }
    const rest = JSON.stringify({ ...PLAN, essence: [''] }).length
    const longest: PlanFacts = { ...PLAN, essence: ['x'.repeat(PLAN_LENGTH_MAX - rest)] }
    expect(plans.find(plans.keep(long, 0))).toBeUndefined()
    expect(plans.find(plans.keep(longest, 0))).toEqual(longest)
  })
})

describe('what changed', () => {
  const cases: [string, PlanFacts, string[]][] = [
    ['nothing', PLAN, []],
    ['only an estimate', { ...PLAN, promises: [{ label: 'Bytes', value: '1 GB' }] }, []],
    ['what it reaches', { ...PLAN, essence: ['img_2 edge-a'] }, ['New: img_2 edge-a.', 'Gone: img_1 edge-a.']],
    ['a figure', { ...PLAN, promises: [{ label: 'Bytes', value: '2 GB' }] }, ['Bytes: 2 GB, it was 1 GB.']],
    ['figures', { ...PLAN, promises: [{ label: 'Copies', value: '2' }] }, ['Copies is new: 2.', 'Bytes is no longer in it.']],
    ['a check', { ...PLAN, checks: [{ label: 'In use', passed: false }] }, ['In use: not passed, it was passed.']],
    ['checks', { ...PLAN, checks: [{ label: 'Protected', passed: true }] }, ['Protected is checked now: passed.', 'In use is no longer in it.']],
  ]
  test.each(cases)('%s', (_what, now, sentences) => {
    expect(planChanges(PLAN, now)).toEqual(sentences)
  })

  test('names eight changes and counts the rest', () => {
    const essence = Array.from({ length: 9 }, (_, i) => `img_${i + 2}`)
    const changes = planChanges(PLAN, { ...PLAN, essence: ['img_1 edge-a', ...essence] })
    expect(changes).toHaveLength(9)
    expect(changes.at(-1)).toBe('1 more change.')
  })
})
