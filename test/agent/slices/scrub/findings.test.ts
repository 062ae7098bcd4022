// How many findings of one kind the report of a scrub lists, as a literal.

import { expect, test } from 'bun:test'
import { addFinding } from '../../../../agent/slices/scrub/findings.ts'

test('a scrub reports 1000 findings of a kind, and leaves the others to the log', () => {
  const faults: string[] = []
  for (let i = 0; i < 1000; i++) addFinding(faults, `fault ${i}`)
  expect(faults).toHaveLength(1000)
  addFinding(faults, 'one more')
  expect([faults.length, faults.at(-1)]).toEqual([1000, 'fault 999'])
})
