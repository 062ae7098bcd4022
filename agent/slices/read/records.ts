// Reads records in batches: locations are sorted by pack and offset, neighbours are read together, and every record is verified against its
// header and checksum. A record that does not match the index is checked against the pack, because either may be wrong.

import { hasCode } from '../../../protocol/errors.ts'
import type { SliceFrame } from '../../../protocol/slices/frames.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import type { SliceLookup } from '../index/index-roles.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import { checksumOf, RECORD_HEADER_BYTES, readRecordHeader } from '../packs/record.ts'
import { sliceBytes, SliceBytesInvalid } from '../packs/slice-bytes.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { Location } from '../packs/slice-row.ts'
import type { PackSearch } from '../rebuild/pack-search.ts'

/** Bytes of one read of a pack, and the gap up to which neighbours are read together. */
const READ_BYTES_MAX = 4 * 1024 * 1024
const READ_GAP_MAX = 64 * 1024
/** The fault of a record that is at the right location but whose bytes have changed. */
const CHECKSUM_FAULT = 'its checksum does not match'

export interface RecordsDeps {
  readonly index: SliceLookup
  readonly files: PackFiles
  /** Finds slices that the index lacks. */
  readonly search: PackSearch
  /** Called with every slice whose record is damaged; resolves when the record is quarantined. */
  readonly onCorrupt: (digest: Uint8Array, location: Location, reason: string) => Promise<void>
}

/** A slice to read, and where it is. */
export interface Wanted {
  readonly digest: Uint8Array
  readonly location: Location
}

interface ReadPlan {
  readonly pack: number
  readonly offset: number
  length: number
  readonly wanted: Wanted[]
}

/** Returns the location of a slice. Throws SliceUnreadable when the index lacks it. */
export function locate({ index }: RecordsDeps, digest: Uint8Array): Wanted {
  const location = index.find(digest)
  if (!location) throw new SliceUnreadable(digest, 'missing', `no pack has the slice ${Buffer.from(digest).toString('hex')}`)
  return { digest, location }
}

/** Reads and verifies records; returns their frames by slice key. Throws SliceUnreadable for one that is damaged or missing. */
export async function readFrames(deps: RecordsDeps, wanted: readonly Wanted[]): Promise<Map<string, SliceFrame>> {
  const frames = new Map<string, SliceFrame>()
  await Promise.all(
    planReads(wanted).map(async (plan) => {
      const bytes = await readPlan(deps, plan)
      if (!bytes) {
        // gc moved these slices between the look-up and the read: the index has their new locations.
        for (const { digest } of plan.wanted) frames.set(sliceKey(digest), await readFrame(deps, locate(deps, digest)))
        return
      }
      for (const one of plan.wanted) frames.set(sliceKey(one.digest), await verified(deps, one, bytes, one.location.offset - plan.offset))
    }),
  )
  return frames
}

/** Reads and verifies one record without its neighbours. Throws SliceUnreadable. */
export async function readFrame(deps: RecordsDeps, wanted: Wanted): Promise<SliceFrame> {
  return verified(deps, wanted, await readAlone(deps, wanted), 0)
}

/** Decompresses a verified slice. Throws SliceUnreadable when its bytes are invalid. */
export async function decompress({ onCorrupt }: RecordsDeps, frame: SliceFrame, location: Location): Promise<Uint8Array> {
  try {
    return await sliceBytes(frame)
  } catch (error) {
    if (!(error instanceof SliceBytesInvalid)) throw error
    await onCorrupt(frame.digest, location, 'does not decompress')
    throw new SliceUnreadable(frame.digest, 'corrupt', `a slice does not decompress: ${error.message}`, { cause: error })
  }
}

/** Returns the frame at `at` of the bytes read. When the record does not match, the pack decides whether the record or the index is wrong. */
async function verified(deps: RecordsDeps, wanted: Wanted, bytes: Buffer, at: number): Promise<SliceFrame> {
  const frame = frameOf(wanted, bytes, at)
  if (typeof frame !== 'string') return frame
  const truth = frame === CHECKSUM_FAULT ? 'damaged' : await deps.search.judge(wanted.digest, wanted.location)
  if (truth === 'damaged') return reportCorrupt(deps, wanted, frame)
  const again = truth === 'lost' ? locate(deps, wanted.digest) : { digest: wanted.digest, location: truth }
  const found = frameOf(again, await readAlone(deps, again), 0)
  return typeof found === 'string' ? reportCorrupt(deps, again, found) : found
}

async function reportCorrupt({ onCorrupt }: RecordsDeps, { digest, location }: Wanted, fault: string): Promise<never> {
  await onCorrupt(digest, location, fault)
  throw new SliceUnreadable(digest, 'corrupt', `slice ${Buffer.from(digest).toString('hex')} is damaged: ${fault}`)
}

async function readAlone(deps: RecordsDeps, wanted: Wanted): Promise<Buffer> {
  const bytes = await readPlan(deps, planOf([wanted]))
  if (!bytes) throw new SliceUnreadable(wanted.digest, 'missing', 'the pack of a slice is gone')
  return bytes
}

function planOf(wanted: Wanted[]): ReadPlan {
  const { pack, offset, storedLength } = wanted[0]?.location ?? { pack: 0, offset: 0, storedLength: 0 }
  return { pack, offset, length: RECORD_HEADER_BYTES + storedLength, wanted }
}

/** Plans reads in the order of the disk, neighbours together. */
function planReads(wanted: readonly Wanted[]): ReadPlan[] {
  const sorted = wanted.toSorted((a, b) => a.location.pack - b.location.pack || a.location.offset - b.location.offset)
  const plans: ReadPlan[] = []
  for (const one of sorted) {
    const { pack, offset, storedLength } = one.location
    const end = offset + RECORD_HEADER_BYTES + storedLength
    const plan = plans.at(-1)
    if (plan && plan.pack === pack && offset - (plan.offset + plan.length) <= READ_GAP_MAX && end - plan.offset <= READ_BYTES_MAX) {
      plan.length = Math.max(plan.length, end - plan.offset)
      plan.wanted.push(one)
    } else {
      plans.push(planOf([one]))
    }
  }
  return plans
}

/** Reads the bytes of a plan; undefined when the pack is gone. */
async function readPlan({ index, files }: RecordsDeps, plan: ReadPlan): Promise<Buffer | undefined> {
  const pack = index.pack(plan.pack)
  if (!pack) return undefined
  try {
    return await files.use(pack.name, async (file) => {
      const bytes = Buffer.allocUnsafe(plan.length)
      return bytes.subarray(0, await file.read(bytes, plan.offset))
    })
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Returns the frame of the record at `at`, or what is wrong with it as a phrase. Verifies header and checksum. */
function frameOf({ digest, location }: Wanted, bytes: Buffer, at: number): SliceFrame | string {
  const header = readRecordHeader(bytes, at)
  if (!header) return 'its record has no valid header'
  if (Buffer.compare(header.digest, digest) !== 0) return 'its record has another slice'
  if (header.storedLength !== location.storedLength) return 'its record has another length'
  const stored = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + header.storedLength)
  if (header.storedLength !== stored.length || checksumOf(stored) !== header.checksum) return CHECKSUM_FAULT
  return { digest, length: header.length, codec: header.codec, stored }
}
