// A short run of kills.ts; SLIPWAY_SYNC_KILLS=50 runs it at full size.

import { expect, test } from 'bun:test'
import { runSeed } from '../../support/properties.ts'
import { killDuringSync } from './kills.ts'

const full = Number(process.env['SLIPWAY_SYNC_KILLS'] ?? 0)
const TIME_MS = full > 0 ? 3_600_000 : 300_000

test(
  'a sync survives SIGKILL of either side, and moves no more twice than the batches in flight',
  async () => {
    const seed = runSeed()
    console.error(`seed: SLIPWAY_SEED=${seed}`)
    const report = await killDuringSync(full > 0 ? full : 2, seed, (line) => console.error(line))
    console.error(JSON.stringify(report))
    expect(report.twiceBytes).toBeLessThan(report.allowedBytes)
  },
  TIME_MS,
)
