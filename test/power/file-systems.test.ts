// An agent whose disk loses its power at many moments of a mixed load, on each file system: what clients were told before the cut is
// there after it, and still there after another start. SLIPWAY_POWER_STATES tries more states, SLIPWAY_SEED chooses the same ones.

import { expect } from 'bun:test'
import { runSeed } from '../support/properties.ts'
import { describeFinding, tryStates } from './campaign.ts'
import { FILE_SYSTEMS, requireRecordedDisk } from './recorded-disk.ts'
import { planStates, recordWorkload } from './replay.ts'
import { startSyncSource } from './sync-source.ts'

const STATES = Number(process.env['SLIPWAY_POWER_STATES'] ?? 30)
const LENGTH = { acknowledgements: 1000, msMax: 60_000 }
/** Time for the workload and for one state, on a machine that has other things to do, in milliseconds. */
const RECORD_MS_MAX = 240_000
const STATE_MS_MAX = 30_000
/** States between two lines that say how far it is. */
const SAY_EVERY = 10
/** A test ends after this many findings: they tend to be one and the same. */
const FINDINGS_MAX = 20

for (const fileSystem of FILE_SYSTEMS) {
  requireRecordedDisk(fileSystem)(
    `what was acknowledged on ${fileSystem} survives ${STATES} power cuts`,
    async () => {
      const seed = runSeed()
      console.error(`seed: SLIPWAY_SEED=${seed}`)
      await using source = await startSyncSource(seed)
      await using recording = await recordWorkload({ fileSystem, seed, length: LENGTH, source })
      console.error(`${fileSystem}: ${recording.log.entries.length} log entries, ${recording.history.acknowledged.length} acknowledgements`)
      const { tried, findings } = await tryStates(recording, planStates(recording, STATES, seed), {
        findingsMax: FINDINGS_MAX,
        onState: (count, finding) => {
          if (finding || count % SAY_EVERY === 0) console.error(`${fileSystem}: ${count} states${finding ? `, ${describeFinding(finding)}` : ''}`)
        },
      })
      expect(findings.map(describeFinding), `SLIPWAY_SEED=${seed}`).toEqual([])
      expect(tried).toBe(STATES)
    },
    RECORD_MS_MAX + STATES * STATE_MS_MAX,
  )
}
