// Cuts the power of an agent's disk at many moments of a mixed load, on each file system. Everything acknowledged before the cut exists
// after it, and after another start. SLIPWAY_POWER_STATES sets the number of states, SLIPWAY_SEED repeats a choice.

import { expect } from 'bun:test'
import { runSeed } from '../support/properties.ts'
import { describeFinding, tryStates } from './campaign.ts'
import { FILE_SYSTEMS, requireRecordedDisk } from './recorded-disk.ts'
import { planStates, recordWorkload } from './replay.ts'
import { startSyncSource } from './sync-source.ts'

/** States for each file system unless a number is set. */
const STATES_IN_CI = 10
const STATES = Number(process.env['SLIPWAY_POWER_STATES'] ?? STATES_IN_CI)
const LENGTH = { acknowledgements: STATES > STATES_IN_CI ? 1000 : 300, msMax: 60_000 }
/** Longest time for the workload and for one state, on a busy machine, in milliseconds. */
const RECORD_MS_MAX = 240_000
const STATE_MS_MAX = 30_000
/** States between two lines of progress. */
const SAY_EVERY = 10
/** A test ends after this many findings, because they usually have the same cause. */
const FINDINGS_MAX = 20

for (const fileSystem of FILE_SYSTEMS) {
  requireRecordedDisk(fileSystem)(
    `everything acknowledged on ${fileSystem} survives ${STATES} power cuts`,
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
