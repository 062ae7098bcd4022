// A short run of upload-bad-link.ts.

import { expect } from 'bun:test'
import { runSeed } from '../../support/properties.ts'
import { requireTool } from '../../support/require.ts'
import { BAD_LINK, uploadOverBadLink } from './upload-bad-link.ts'

const LENGTH = 12 * 1024 * 1024
/** Cuts of an upload that is as fast as the link permits. */
const LEAST_CUTS = Math.floor((LENGTH * 1000) / BAD_LINK.bytesPerSecond / BAD_LINK.cutEveryMs)

requireTool('node', 'nodejs')(
  'a distant, slow link that is cut every three seconds and reset at random does not stop an upload, and few bytes are sent twice',
  async () => {
    const seed = runSeed()
    console.error(`seed: SLIPWAY_SEED=${seed}`)
    const { digests, heads, cuts, twiceBytes, ...rest } = await uploadOverBadLink(LENGTH, seed, () => {})
    console.error(JSON.stringify({ cuts, twiceBytes, ...rest }))
    expect(digests.read).toBe(digests.sent)
    expect(cuts).toBeGreaterThanOrEqual(LEAST_CUTS)
    // An acknowledged offset never decreases.
    expect(heads.toSorted((a, b) => a - b)).toEqual([...heads])
    expect(twiceBytes).toBeLessThan(LENGTH / 100)
  },
  240_000,
)
