// A short run of random-kills.ts.

import { expect, test } from 'bun:test'
import { runSeed } from '../support/properties.ts'
import { killAtRandom } from './random-kills.ts'

const KILLS = 50

test(`an agent under a mixed load that is killed ${KILLS} times keeps what it told`, async () => {
  const seed = runSeed()
  console.error(`seed: SLIPWAY_SEED=${seed}`)
  const report = await killAtRandom(KILLS, seed, () => {})
  expect(report.kills).toBe(KILLS)
  expect(report.images).toBeGreaterThan(0)
}, 170_000)
