// The machine of a finding against a model that keeps the whole history of observations.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { CONDITIONS, GOOD_MAX } from '../../../bot/alerts/conditions.ts'
import type { HoldDown } from '../../../bot/alerts/conditions.ts'
import { goodNeeded, QUIET, step } from '../../../bot/alerts/hold-down.ts'
import type { Transition } from '../../../bot/alerts/hold-down.ts'
import { propertyOptions } from '../../support/properties.ts'

/** Returns the transitions of observations (`x` bad, `.` good). */
function run(text: string, rule: HoldDown): Transition[] {
  let machine = QUIET
  return text.split('').map((mark) => {
    const after = step(machine, mark === 'x', rule)
    machine = after.machine
    return after.transition
  })
}

/** The same, from the observations since the last change of state alone. */
function naive(text: string, { bad, of, good }: HoldDown): Transition[] {
  let isOpen = false
  let since: boolean[] = []
  let flaps = 0
  return text.split('').map((mark) => {
    const isBad = mark === 'x'
    const wasGood = since.at(-1) === false
    since.push(isBad)
    if (!isOpen) {
      if (since.slice(-of).filter(Boolean).length < bad) return 'none'
      isOpen = true
      since = [true]
      flaps = 0
      return 'opened'
    }
    if (isBad && wasGood) {
      flaps++
      return 'returned'
    }
    let needed = good
    for (let i = 0; i < flaps; i++) needed = Math.min(180, needed * 2)
    const last = since.slice(-needed)
    if (last.length < needed || last.some(Boolean)) return 'none'
    isOpen = false
    since = []
    return 'resolved'
  })
}

/** Stretches of good and bad observations, long and short. */
const observations = fc
  .array(fc.tuple(fc.constantFrom('x', '.'), fc.integer({ min: 1, max: 40 })), { maxLength: 40 })
  .map((stretches) => stretches.map(([mark, count]) => mark.repeat(count)).join(''))
const rules = fc
  .tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 0, max: 29 }), fc.integer({ min: 1, max: 30 }))
  .map(([bad, more, good]) => ({ bad, of: Math.min(30, bad + more), good }))

test('the machine does what the model does', () => {
  fc.assert(
    fc.property(observations, rules, (text, rule) => {
      expect(run(text, rule)).toEqual(naive(text, rule))
    }),
    propertyOptions(300),
  )
})

describe('a finding', () => {
  const rule = { bad: 3, of: 5, good: 2 }

  test('opens when it was in three of the last five observations, and not before', () => {
    expect(run('x..x..x..x..', rule)).not.toContain('opened')
    expect(run('x.x.x', rule)).toEqual(['none', 'none', 'none', 'none', 'opened'])
    expect(run('xxx', rule)).toEqual(['none', 'none', 'opened'])
  })

  test('is resolved after two observations without it', () => {
    expect(run('xxx..', rule).slice(3)).toEqual(['none', 'resolved'])
    expect(run('xxx..xx.', rule).slice(3)).toEqual(['none', 'resolved', 'none', 'none', 'none'])
  })

  test('that comes and goes stays open, is counted, and takes longer to resolve each time', () => {
    expect(run('xxx.x...x', rule).slice(3)).toEqual(['none', 'returned', 'none', 'none', 'none', 'returned'])
    expect(run('xxx.x....', rule).at(-1)).toBe('resolved')
    expect([goodNeeded(rule, 0), goodNeeded(rule, 1), goodNeeded(rule, 3), goodNeeded(rule, 7), goodNeeded(rule, 1_000_000)]).toEqual([2, 4, 16, 180, 180])
  })
})

test('every condition has a name of its own, a hold-down that fits into the bits of a number, and a recovery within the bound', () => {
  expect(new Set(CONDITIONS.map(({ name }) => name)).size).toBe(18)
  for (const { holdDown } of CONDITIONS) {
    expect(holdDown.bad).toBeWithin(1, holdDown.of + 1)
    expect(holdDown.of).toBeWithin(1, 31)
    expect(holdDown.good).toBeWithin(1, GOOD_MAX)
  }
})
