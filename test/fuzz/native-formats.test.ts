// Fuzzes the inspection of vmdk, of discs and of partition tables. A check that throws is a finding: every damaged image must be refused for a reason.

import { expect, test } from 'bun:test'
import type { Inspection } from '../../agent/images/formats/inspection.ts'
import { descriptor, disc, recognition, volume } from '../agent/images/formats/cases/iso-image.ts'
import { handmadeGpt, mbr, partitionEntry } from '../agent/images/formats/cases/partition-cases.ts'
import { sparse, stream } from '../agent/images/formats/cases/vmdk-image.ts'
import { fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.ts'
import type { FuzzResult } from '../support/fuzz.ts'
import { inspectBytes } from '../support/images/inspected.ts'

const LENGTH_MAX = 256 * 1024

/** Inspects mutations of valid images. `expects` throws if an accepted one breaks a rule of its format. */
function fuzzInspection(name: string, corpus: readonly Uint8Array[], expects: (found: Inspection, input: Uint8Array) => void): Promise<FuzzResult> {
  return fuzz({
    name,
    corpus,
    share: 1 / 3,
    lengthMax: LENGTH_MAX,
    async run(input) {
      const found = await inspectBytes(input)
      if (found.kind === 'refused') {
        if (/the check for \S+ failed/.test(found.reason)) throw new Error(`a check threw: ${found.reason}`)
        if (found.reason.length > 4000) throw new Error(`the reason has ${found.reason.length} characters`)
        return false
      }
      expects(found, input)
      return true
    },
  })
}

test(
  'vmdk',
  async () => {
    const result = await fuzzInspection('vmdk', [sparse(), stream()], ({ format, virtualSize, details }, input) => {
      if (format !== 'vmdk') return
      const { allocatedSize, compression } = details
      if (virtualSize === null || virtualSize <= 0) throw new Error(`an accepted disk has the virtual size ${virtualSize}`)
      const cluster = details.clusterSize ?? 0
      // A compressed grain takes at least one sector, and the last grain may be shorter than the others.
      const most = compression === 'zlib' ? (input.byteLength / 512) * cluster : input.byteLength + cluster
      if ((allocatedSize ?? 0) > most) throw new Error(`${input.byteLength} bytes hold ${allocatedSize} bytes of grains`)
    })
    expect(result.accepted).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'discs',
  async () => {
    const bridge = disc(volume(1), descriptor(255), recognition('BEA01'), recognition('NSR02'), recognition('TEA01'))
    const boot = disc(volume(1), descriptor(0, [7, 'EL TORITO SPECIFICATION'], [0x47, '\u0014\0\0\0']), volume(2, 24, [88, '%/E']), descriptor(255))
    const result = await fuzzInspection('discs', [disc(volume(1), descriptor(255)), boot], ({ format, virtualSize }, input) => {
      if (format === 'iso' && virtualSize !== input.byteLength) throw new Error(`a disc of ${input.byteLength} bytes has the virtual size ${virtualSize}`)
    })
    expect(result.accepted).toBeGreaterThan(0)
    expect((await inspectBytes(bridge)).kind).toBe('refused')
  },
  FUZZ_TIMEOUT_MS,
)

test(
  'partition tables',
  async () => {
    const corpus = [mbr(partitionEntry(0x80, 0x83, 1, 9)).slice(0, 8192), handmadeGpt(64 * 1024)]
    const result = await fuzzInspection('partition tables', corpus, ({ format, details }) => {
      if (format === 'raw' && details.refusal !== null) throw new Error('an accepted disk has a refusal')
    })
    expect(result.accepted).toBeGreaterThan(0)
  },
  FUZZ_TIMEOUT_MS,
)
