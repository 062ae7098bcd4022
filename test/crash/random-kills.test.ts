// A short run of random-kills.ts.

import { expect, test } from 'bun:test'
import { runSeed } from '../support/properties.ts'
import { killAtRandom } from './random-kills.ts'

const KILLS = 50
/** A busy machine stops killing after this time, in milliseconds, if it has killed often enough. */
const KILLING_MS_MAX = 60_000
const KILLS_MIN = 5

test(`an agent under a mixed load that is killed up to ${KILLS} times keeps everything it acknowledged`, async () => {
  const seed = runSeed()
  console.error(`seed: SLIPWAY_SEED=${seed}`)
  const report = await killAtRandom(KILLS, seed, () => {}, KILLING_MS_MAX)
  expect(report.kills).toBeGreaterThanOrEqual(KILLS_MIN)
  expect(report.images).toBeGreaterThan(0)
}, 600_000)
