// Fuzzes the inspection of images of every format: bytes that strangers choose. It never throws, never ends a check in an unexpected error, holds
// little memory, and a raw declaration never hides another format.

import { afterEach, describe, expect, test } from 'bun:test'
import { inspectImage, VIRTUAL_SIZE_MAX } from '../../agent/images/formats/inspection.ts'
import type { Inspection } from '../../agent/images/formats/inspection.ts'
import type { ImageBytes } from '../../agent/images/formats/probe.ts'
import { systemClock } from '../../agent/system/clock.ts'
import type { FormatCase } from '../agent/images/formats/cases/format-case.ts'
import { FOREIGN_CASES } from '../agent/images/formats/cases/foreign-cases.ts'
import { ISO_CASES } from '../agent/images/formats/cases/iso-cases.ts'
import { PARTITION_CASES } from '../agent/images/formats/cases/partition-cases.ts'
import { VMDK_CASES } from '../agent/images/formats/cases/vmdk-cases.ts'
import { residentBytesMax, resetResidentBytesMax } from '../support/agents/resident-memory.ts'
import { fuzz, FUZZ_TIMEOUT_MS } from '../support/fuzz.ts'
import { copied, imageOfBytes } from '../support/images/inspected.ts'
import { createTemporaryFolder } from '../support/machine/temporary-folder.ts'
import { buildQcow2 } from '../support/images/qcow2-image.ts'
import type { Random } from '../support/properties.ts'

const LENGTH_MAX = 2 * 1024 * 1024
/** Memory that one inspection may add to the process in bytes, with the garbage that it leaves. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024

/** Most memory that an inspection added. */
let growthMax = 0
afterEach(() => {
  console.log(`the inspections added at most ${growthMax} bytes to the process`)
  growthMax = 0
})

/** Checks what must hold for every image. Returns whether the image was accepted. */
async function inspected(image: ImageBytes, random: Random): Promise<boolean> {
  // The highest resident memory after the reset is what is resident now.
  resetResidentBytesMax(process.pid)
  const before = residentBytesMax(process.pid)
  const found = await inspectImage(image, null, { clock: systemClock })
  const growth = residentBytesMax(process.pid) - before
  growthMax = Math.max(growthMax, growth)
  if (growth > GROWTH_BYTES_MAX) throw new Error(`the inspection added ${growth} bytes to the process`)
  checkResult(found)
  // A declaration changes only whether the image is accepted.
  if (random.chance(0.1)) {
    const declared = await inspectImage(image, 'raw', { clock: systemClock })
    if (declared.kind === 'accepted' && (found.kind === 'refused' || found.format !== 'raw')) throw new Error(`raw hides ${JSON.stringify(found)}`)
  }
  return found.kind === 'accepted'
}

function checkResult(found: Inspection): void {
  if (found.kind === 'refused') {
    if (/the check for \w+ failed/.test(found.reason)) throw new Error(found.reason)
    if (found.reason.length === 0 || found.reason.length > 2000) throw new Error(`the reason has ${found.reason.length} characters`)
    return
  }
  const { virtualSize, details } = found
  if (virtualSize !== null && !(Number.isSafeInteger(virtualSize) && virtualSize >= 0 && virtualSize <= VIRTUAL_SIZE_MAX))
    throw new Error(`accepted with a virtual size of ${virtualSize}`)
  if (details.detected !== found.format || details.refusal !== null) throw new Error(`accepted ${found.format} as ${JSON.stringify(details)}`)
}

/** Returns the accepted images of a table that need no program. */
async function acceptedOf(cases: readonly FormatCase[]): Promise<Uint8Array[]> {
  await using folder = await createTemporaryFolder()
  const images: Uint8Array[] = []
  for (const { make, needs = [], expected, declared } of cases) {
    if (needs.length > 0 || expected.kind !== 'accepted' || declared !== undefined) continue
    const made = await make(folder)
    if (typeof made !== 'string' && made.byteLength <= LENGTH_MAX) images.push(made)
  }
  return images
}

const QCOW2_OPTIONS = [
  { clusterBits: 9, virtualSize: 32_768, dataClusters: 20 },
  { clusterBits: 9, virtualSize: 30_000, version: 2 },
  { clusterBits: 12, virtualSize: 1024 * 1024 },
  { clusterBits: 14, virtualSize: 1024 * 1024, isExtended: true },
  { clusterBits: 14, virtualSize: 1024 * 1024, isZstd: true },
] as const

const FLAGS = [0n, 1n, 2n, 1n << 55n, 1n << 56n, 1n << 61n, 1n << 62n, 1n << 63n, (1n << 63n) | (1n << 62n)]

/** Returns a qcow2 whose header or tables have a few other entries: offsets of clusters in and behind the file, and flags. */
function madeQcow2(random: Random): Uint8Array {
  const { bytes, clusterSize, refcountTable, refcountBlock, l1, l2, data } = buildQcow2(random.pick(QCOW2_OPTIONS))
  const view = new DataView(bytes.buffer)
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const start = random.pick([0, refcountTable, refcountBlock, l1, l2, l2])
    const at = start + 8 * random.below(start === 0 ? 14 : Math.min(24, clusterSize / 8))
    const offset = BigInt(clusterSize * random.below(bytes.byteLength / clusterSize + 2))
    const value = random.chance(0.6) ? offset : random.pick([0n, 1n, BigInt(data + 512), 2n ** 40n, 2n ** 63n - 1n, 2n ** 64n - 1n])
    view.setBigUint64(at, value | random.pick(FLAGS))
  }
  return bytes
}

describe('the inspection', () => {
  test(
    'of qcow2',
    async () => {
      const corpus = QCOW2_OPTIONS.map((options) => buildQcow2(options).bytes)
      const run = (input: Uint8Array, random: Random): Promise<boolean> => inspected(imageOfBytes(input), random)
      expect((await fuzz({ name: 'qcow2', corpus, lengthMax: LENGTH_MAX, make: madeQcow2, run, share: 0.3 })).accepted).toBeGreaterThan(0)
    },
    FUZZ_TIMEOUT_MS,
  )

  test.each([
    ['vmdk', VMDK_CASES, 0.2],
    ['iso', ISO_CASES, 0.15],
    ['partitions', PARTITION_CASES, 0.15],
  ] as const)(
    'of %s',
    async (name, cases, share) => {
      const corpus = await acceptedOf(cases)
      const run = (input: Uint8Array, random: Random): Promise<boolean> => inspected(imageOfBytes(input), random)
      // Inputs of these formats are up to a megabyte long, and copying them takes most of the time.
      expect((await fuzz({ name, corpus, lengthMax: LENGTH_MAX, run, share, isSlow: true })).accepted).toBeGreaterThan(0)
    },
    FUZZ_TIMEOUT_MS,
  )

  test(
    'of formats that are refused, and of two at once',
    async () => {
      const foreign: Uint8Array[] = []
      await using folder = await createTemporaryFolder()
      for (const { make, needs = [] } of FOREIGN_CASES) {
        const made = needs.length === 0 ? await make(folder) : ''
        if (typeof made !== 'string') foreign.push(made.slice(0, 65_536))
      }
      const make = (random: Random): Uint8Array => {
        const bytes = new Uint8Array(random.pick(foreign))
        const other = random.pick(foreign)
        const at = random.pick([0, 64, 257, 512, 32_768, Math.max(0, bytes.byteLength - 512)])
        if (at < bytes.byteLength) bytes.set(other.subarray(0, Math.min(other.byteLength, bytes.byteLength - at)), at)
        return bytes
      }
      const run = (input: Uint8Array, random: Random): Promise<boolean> => inspected(imageOfBytes(input), random)
      await fuzz({ name: 'foreign formats', corpus: [new Uint8Array(512)], lengthMax: LENGTH_MAX, make, run, share: 0.1 })
    },
    FUZZ_TIMEOUT_MS,
  )

  test(
    'of files that are terabytes long',
    async () => {
      const corpus = [new Uint8Array(512)]
      const lengths = [2 ** 30, 2 ** 38, 2 ** 44, 16_000_000_000_000, VIRTUAL_SIZE_MAX]
      const pieces = [...QCOW2_OPTIONS.map((options) => buildQcow2(options).bytes), ...(await acceptedOf(VMDK_CASES)), ...(await acceptedOf(PARTITION_CASES))]
      const make = (random: Random): Uint8Array => (random.chance(0.5) ? madeQcow2(random) : random.pick(pieces))
      /** The input at the start and at the end of a file of zeros. */
      const run = (input: Uint8Array, random: Random): Promise<boolean> => {
        const length = random.pick(lengths)
        const readInto = async (offset: number, buffer: Uint8Array): Promise<number> => {
          buffer.fill(0)
          copied(input.subarray(offset), buffer)
          const tail = offset - (length - input.byteLength)
          if (tail + buffer.byteLength > 0 && offset > input.byteLength) {
            const from = Math.max(0, tail)
            copied(input.subarray(from), buffer.subarray(from - tail))
          }
          return Math.min(buffer.byteLength, length - offset)
        }
        return inspected({ length, readInto }, random)
      }
      await fuzz({ name: 'long files', corpus, lengthMax: LENGTH_MAX, make, run, share: 0.1, isSlow: true })
    },
    FUZZ_TIMEOUT_MS,
  )
})
