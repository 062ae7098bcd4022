// A short run of upload-kills.ts.

import { expect } from 'bun:test'
import { runSeed } from '../../support/properties.ts'
import { requireImageTools } from '../../support/images/small-image.ts'
import { killDuringUpload } from './upload-kills.ts'

const KILLS = 5

requireImageTools()(
  `an upload survives SIGKILL of the agent at ${KILLS} random moments`,
  async () => {
    const seed = runSeed()
    console.error(`seed: SLIPWAY_SEED=${seed}`)
    const report = await killDuringUpload(KILLS, seed, () => {})
    expect(report.heads).toBeGreaterThanOrEqual(KILLS)
    expect(report.appends).toBeGreaterThan(0)
  },
  180_000,
)
