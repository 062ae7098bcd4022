// How many faults the report of a scrub lists, as a literal.

import { expect, test } from 'bun:test'
import { addFault } from '../../../../agent/slices/scrub/findings.ts'
import type { Findings } from '../../../../agent/slices/scrub/findings.ts'

test('a scrub reports 1000 faults, and leaves the others to the log', () => {
  const findings: Findings = { slices: 0, bytes: 0, corrupt: [], faults: [] }
  for (let i = 0; i < 1000; i++) addFault(findings, `fault ${i}`)
  expect(findings.faults).toHaveLength(1000)
  addFault(findings, 'one more')
  expect([findings.faults.length, findings.faults.at(-1)]).toEqual([1000, 'fault 999'])
})
