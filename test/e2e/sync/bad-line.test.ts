// A short run of bad-line.ts; SLIPWAY_BAD_LINE_MIB=2048 runs it at full size.

import { expect, test } from 'bun:test'
import { runSeed } from '../../support/properties.ts'
import { BAD_LINE, syncOverBadLine } from './bad-line.ts'

const MIB = 1024 * 1024
const full = Number(process.env['SLIPWAY_BAD_LINE_MIB'] ?? 0)
const LENGTH = full > 0 ? full * MIB : 24 * MIB
/** As many flips and cuts in a short run as in a long one. */
const LINE = full > 0 ? BAD_LINE : { ...BAD_LINE, delayMs: 20, bytesPerSecond: 8e6, cutEveryMs: 1200, flipEvery: 3e6 }
const TIME_MS = full > 0 ? 1_800_000 : 240_000

test(
  'a distant, slow line that is cut every other second and flips bits does not stop a sync, and no wrong byte gets in',
  async () => {
    const seed = runSeed()
    console.error(`seed: SLIPWAY_SEED=${seed}`)
    const { digests, scrub, ...report } = await syncOverBadLine(LENGTH, seed, LINE)
    console.error(JSON.stringify(report))
    expect(digests.read).toBe(digests.sent)
    expect(scrub).toBe(0)
    expect(report.cuts).toBeGreaterThan(0)
    expect(report.flips).toBeGreaterThan(2)
  },
  TIME_MS,
)
