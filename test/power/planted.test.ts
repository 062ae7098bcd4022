// Records agents with a planted defect in the same way. Power cuts must show each of the defects, which proves that the harness can find
// defects.

import { expect } from 'bun:test'
import { join } from 'node:path'
import { describeFinding, tryStates } from './campaign.ts'
import type { Places } from './disk-states.ts'
import { requireRecordedDisk } from './recorded-disk.ts'
import type { FileSystem } from './recorded-disk.ts'
import { planStates, recordWorkload } from './replay.ts'

interface Defect {
  /** Name of a module in `plant/`. */
  readonly plant: string
  readonly name: string
  readonly fileSystem: FileSystem
  /** Where the cuts that show the defect are made. */
  readonly places: Places
  readonly symptom: RegExp
}

/** Each defect on a file system that shows it, with the text of one of its symptoms. docs/internals/power-cuts.md lists where each is visible. */
const DEFECTS: readonly Defect[] = [
  { plant: 'packs-not-synced', name: 'does not sync packs', fileSystem: 'ext4', places: 'acknowledgements', symptom: /damaged|degraded|missing/ },
  {
    plant: 'journals-not-synced',
    name: 'does not sync journals',
    fileSystem: 'ext4',
    places: 'acknowledgements',
    symptom: /is at \d+, but \d+ bytes were acknowledged/,
  },
  {
    plant: 'database-not-synced',
    name: 'does not sync its database',
    fileSystem: 'ext4',
    places: 'acknowledgements',
    symptom: /but must be/,
  },
  { plant: 'folders-not-synced', name: 'does not sync folders', fileSystem: 'btrfs', places: 'acknowledgements', symptom: /but must be/ },
  {
    plant: 'replaced-in-place',
    name: 'overwrites files instead of replacing them',
    fileSystem: 'xfs',
    places: 'flushes',
    symptom: /damaged|is error|but must be/,
  },
]

const SEED = 1
const LENGTH = { acknowledgements: 250, msMax: 60_000 }
const STATES_MAX = 90
const TEST_MS_MAX = 280_000

for (const { plant, name, fileSystem, places, symptom } of DEFECTS) {
  requireRecordedDisk(fileSystem)(
    `an agent that ${name} is detected on ${fileSystem}`,
    async () => {
      const command = [process.execPath, '--preload', join(import.meta.dir, 'plant', `${plant}.ts`), join(import.meta.dir, '../../agent/main.ts')]
      await using recording = await recordWorkload({ fileSystem, seed: SEED, length: LENGTH, command })
      expect(recording.agentLog).toContain(`planted: ${join(import.meta.dir, 'plant', plant)}.ts`)
      const { tried, findings } = await tryStates(recording, planStates(recording, STATES_MAX, SEED, places), { findingsMax: 1 })
      console.error(`${plant} on ${fileSystem}: detected by state ${tried}`)
      expect(findings.map(describeFinding).join('\n')).toMatch(symptom)
    },
    TEST_MS_MAX,
  )
}
