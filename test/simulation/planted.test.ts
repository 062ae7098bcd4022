// Agents with a planted defect are simulated in the same way: the simulation must find each of the defects.

import { expect, test } from 'bun:test'
import { PLANTS } from './plants.ts'
import { simulate } from './simulate.ts'

/** Each defect must be found within this many seeds. */
const SEEDS_MAX = 500
const TEST_MS_MAX = 280_000

for (const [plant, { name, symptom, isRare, from = 1 }] of Object.entries(PLANTS)) {
  if (isRare) continue
  test(
    `an agent that ${name} is found`,
    async () => {
      const { runs, output } = await simulate('--plant', plant, '--from', String(from), '--seeds', String(SEEDS_MAX - from + 1))
      const found = runs.at(-1)
      console.error(`${plant}: found by seed ${found?.seed}`)
      expect(found?.failure ?? `not found by ${runs.length} seeds\n${output}`).toMatch(symptom)
    },
    TEST_MS_MAX,
  )
}
