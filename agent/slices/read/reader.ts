// Reader: the bytes of an image by range. Slices of a window are looked up together, read in the order they lie on disk,
// verified, decompressed off the event loop and given out in image order while the next window is on its way.

import { hasCode } from '../../../protocol/errors.ts'
import type { SliceFrame } from '../../../protocol/frames.ts'
import type { Manifest, ManifestBlock } from '../../../protocol/manifest.ts'
import { SliceUnreadable } from '../../contract/slices.ts'
import type { SliceLookup } from '../index/index-roles.ts'
import type { PackFiles } from '../packs/pack-files.ts'
import type { PackSearch } from '../rebuild/pack-search.ts'
import { checksumOf, RECORD_HEADER_BYTES, readRecordHeader } from '../packs/record.ts'
import { sliceBytes, SliceBytesInvalid } from '../packs/slice-bytes.ts'
import { sliceKey } from '../packs/slice-row.ts'
import type { Location } from '../packs/slice-row.ts'

const MIB = 1024 * 1024
/** Uncompressed bytes looked up and read together. */
const WINDOW_BYTES = 2 * MIB
/** Entries looked up and read together: slices may be as short as a byte, and runs of zeros count no bytes. */
const WINDOW_ENTRIES = 1024
/** Windows on their way beside those given out, shared by all who read: one who reads alone is fast, many at once take bounded memory. */
const WINDOWS_AHEAD = 4
/** One read of a pack: neighbours within the gap are read together. */
const READ_BYTES_MAX = 4 * MIB
const READ_GAP_MAX = 64 * 1024
/** Longest piece given out. */
const PIECE_BYTES = MIB
/** Shorter parts of slices are gathered into pieces of the second length. */
const GATHERED_MAX = 32 * 1024
const GATHER_BYTES = 128 * 1024
const NO_BYTES = new Uint8Array(0)
const ZEROS = new Uint8Array(PIECE_BYTES)
/** Uncompressed slices kept for readers of small ranges. */
const CACHE_BYTES_MAX = 32 * MIB
/** A range up to this length goes through the cache. */
const CACHED_RANGE_MAX = 512 * 1024
/** Entries of a manifest in which slices that the index lacks are looked for together. */
const LOST_AHEAD_MAX = 64 * 1024
/** The record is where it belongs, and its bytes are not what they were. */
const CHECKSUM_FAULT = 'its checksum does not match'

export interface ReaderDeps {
  readonly index: SliceLookup
  readonly files: PackFiles
  /** Finds what the index lacks. */
  readonly search: PackSearch
  /** Lets other work on the event loop go first. */
  readonly pause: () => Promise<void>
  /** Told of every slice whose record is damaged; resolves when it is quarantined. */
  readonly onCorrupt: (digest: Uint8Array, location: Location, reason: string) => Promise<void>
}

export interface Reader {
  read(manifest: Manifest, start: number, end: number, signal?: AbortSignal): AsyncGenerator<Uint8Array>
  readStored(digests: readonly Uint8Array[], signal?: AbortSignal): AsyncGenerator<SliceFrame>
}

interface Wanted {
  readonly digest: Uint8Array
  readonly location: Location
}

export function createReader(deps: ReaderDeps): Reader {
  const cache = createSliceCache()
  let readers = 0

  const locate = (digest: Uint8Array): Wanted => {
    const location = deps.index.find(digest)
    if (!location) throw new SliceUnreadable(digest, 'missing', `no pack has the slice ${Buffer.from(digest).toString('hex')}`)
    return { digest, location }
  }

  const countReader = (): Disposable => {
    readers++
    return { [Symbol.dispose]: () => void readers-- }
  }

  const giveUp = async ({ digest, location }: Wanted, fault: string): Promise<never> => {
    await deps.onCorrupt(digest, location, fault)
    throw new SliceUnreadable(digest, 'corrupt', `slice ${Buffer.from(digest).toString('hex')} is damaged: ${fault}`)
  }

  /** Reads one record without its neighbours. */
  const readAlone = async (wanted: Wanted): Promise<Buffer> => {
    const bytes = await readPlan(deps, planOf([wanted]))
    if (!bytes) throw new SliceUnreadable(wanted.digest, 'missing', 'the pack of a slice is gone')
    return bytes
  }

  /** The record that was read at a place; when it is not the one that the index says, either may be wrong. */
  const verified = async (wanted: Wanted, bytes: Buffer, at: number): Promise<SliceFrame> => {
    const frame = frameOf(wanted, bytes, at)
    if (typeof frame !== 'string') return frame
    const truth = frame === CHECKSUM_FAULT ? 'damaged' : await deps.search.judge(wanted.digest, wanted.location)
    if (truth === 'damaged') return giveUp(wanted, frame)
    const again = truth === 'lost' ? locate(wanted.digest) : { digest: wanted.digest, location: truth }
    const found = frameOf(again, await readAlone(again), 0)
    return typeof found === 'string' ? giveUp(again, found) : found
  }

  /** Reads and verifies records; gives frames by slice key. */
  const readFrames = async (wanted: readonly Wanted[]): Promise<Map<string, SliceFrame>> => {
    const frames = new Map<string, SliceFrame>()
    await Promise.all(
      planReads(wanted).map(async (plan) => {
        const bytes = await readPlan(deps, plan)
        if (!bytes) {
          // gc moved these slices between the look-up and the read: where they lie now is in the index.
          for (const { digest } of plan.wanted) {
            const again = locate(digest)
            frames.set(sliceKey(digest), await verified(again, await readAlone(again), 0))
          }
          return
        }
        for (const one of plan.wanted) frames.set(sliceKey(one.digest), await verified(one, bytes, one.location.offset - plan.offset))
      }),
    )
    return frames
  }

  const decompress = async (frame: SliceFrame, location: Location): Promise<Uint8Array> => {
    try {
      return await sliceBytes(frame)
    } catch (error) {
      if (!(error instanceof SliceBytesInvalid)) throw error
      await deps.onCorrupt(frame.digest, location, 'does not decompress')
      throw new SliceUnreadable(frame.digest, 'corrupt', `a slice does not decompress: ${error.message}`, { cause: error })
    }
  }

  /**
   * A slice that the index gives another length than a manifest does. The record says which of them is wrong: the row of the index is corrected by
   * what finds it; a manifest whose entries are shorter than their slices would have a window read without a bound.
   */
  const asLong = async (wanted: Wanted, length: number): Promise<Wanted> => {
    const frame = await verified(wanted, await readAlone(wanted), 0)
    if (frame.length !== length) throw notAsLong(wanted.digest, frame.length, length)
    return wanted
  }

  /** Looks for what the index lacks of the entries from `first` up to the offset `end`, all of it at once. */
  const findLost = async (manifest: Manifest, first: number, end: number): Promise<void> => {
    const lost: Uint8Array[] = []
    for await (const block of manifest.blocks(first)) {
      for (const { offset, digest } of entriesIn(block)) {
        if (offset >= end) return deps.search.find(lost)
        if (digest && !deps.index.find(digest)) lost.push(digest)
      }
      if (block.first + block.count - first >= LOST_AHEAD_MAX) break
      await deps.pause()
    }
    await deps.search.find(lost)
  }

  /** Uncompressed slices of the entries of a window, by slice key; what is lost is looked for up to the offset `end`. */
  const loadWindow = async (manifest: Manifest, { first, entries }: Window, end: number, isSmall: boolean): Promise<Map<string, Uint8Array>> => {
    const slices = new Map<string, Uint8Array>()
    const wanted = new Map<string, Wanted>()
    const lost: Uint8Array[] = []
    for (const { digest, length } of entries) {
      if (!digest) continue
      const key = sliceKey(digest)
      const cached = cache.get(key)
      const location = cached || wanted.has(key) ? undefined : deps.index.find(digest)
      if (cached) slices.set(key, cached)
      else if (location) wanted.set(key, location.length === length ? { digest, location } : await asLong({ digest, location }, length))
      else if (!wanted.has(key)) lost.push(digest)
    }
    if (lost.length > 0) {
      await findLost(manifest, first, end)
      for (const digest of lost) wanted.set(sliceKey(digest), locate(digest))
    }
    const frames = await readFrames([...wanted.values()])
    await Promise.all(
      [...wanted].map(async ([key, { location }]) => {
        const frame = frames.get(key)
        if (!frame) throw new Error('a slice was read and not given')
        const bytes = await decompress(frame, location)
        slices.set(key, bytes)
        if (isSmall) cache.add(key, bytes)
      }),
    )
    return slices
  }

  return {
    async *read(manifest, start, end, signal) {
      if (start >= end) return
      const isSmall = end - start <= CACHED_RANGE_MAX
      using _reading = countReader()
      const windows = planWindows(manifest, start, end)
      const ahead: { window: Window; slices: Promise<Map<string, Uint8Array>> }[] = []
      const readAhead = async (): Promise<void> => {
        while (ahead.length < Math.max(1, Math.floor(WINDOWS_AHEAD / readers))) {
          const next = await windows.next()
          if (next.done) return
          const slices = loadWindow(manifest, next.value, end, isSmall)
          // The failure of a window read ahead is told when its turn comes, or never when the reader leaves before.
          slices.catch(() => {})
          ahead.push({ window: next.value, slices })
        }
      }
      for (;;) {
        await readAhead()
        signal?.throwIfAborted()
        const next = ahead.shift()
        if (!next) return
        const loaded = await next.slices
        await readAhead()
        for (const piece of pieces(next.window, loaded, start, end)) {
          signal?.throwIfAborted()
          yield piece
        }
      }
    },

    async *readStored(digests, signal) {
      await deps.search.find(digests)
      for (let at = 0; at < digests.length;) {
        signal?.throwIfAborted()
        const wanted: Wanted[] = []
        let bytes = 0
        while (at < digests.length && bytes < WINDOW_BYTES) {
          const one = locate(digests[at++] ?? new Uint8Array(0))
          wanted.push(one)
          bytes += one.location.storedLength
        }
        const frames = await readFrames(wanted)
        for (const { digest } of wanted) {
          const frame = frames.get(sliceKey(digest))
          if (frame) yield frame
        }
      }
    },
  }
}

interface WindowEntry {
  /** Where it begins in the image. */
  readonly offset: number
  readonly length: number
  /** Null for a run of zeros. */
  readonly digest: Uint8Array | null
}

/** Entries that are looked up and read together; `first` is the index of the first one in the manifest. */
interface Window {
  readonly first: number
  readonly entries: readonly WindowEntry[]
}

function* entriesIn(block: ManifestBlock): Generator<WindowEntry> {
  for (let i = block.first; i < block.first + block.count; i++) {
    yield { offset: block.offsetAt(i), length: block.lengthAt(i), digest: block.isZeroAt(i) ? null : block.digestAt(i) }
  }
}

/** Entries that cover [start, end), in windows of bounded size; a zero run counts no bytes. */
async function* planWindows(manifest: Manifest, start: number, end: number): AsyncGenerator<Window> {
  let first = await manifest.find(start)
  let entries: WindowEntry[] = []
  let bytes = 0
  blocks: for await (const block of manifest.blocks(first)) {
    for (const entry of entriesIn(block)) {
      if (entry.offset >= end) break blocks
      entries.push(entry)
      if (entry.digest) bytes += entry.length
      if (bytes < WINDOW_BYTES && entries.length < WINDOW_ENTRIES) continue
      yield { first, entries }
      first += entries.length
      entries = []
      bytes = 0
    }
  }
  if (entries.length > 0) yield { first, entries }
}

/** The bytes of a window that lie in [start, end), in pieces of bounded length. Small slices are gathered. */
function* pieces({ entries }: Window, slices: ReadonlyMap<string, Uint8Array>, start: number, end: number): Generator<Uint8Array> {
  let gathered: Uint8Array = NO_BYTES
  let filled = 0
  for (const { offset, length, digest } of entries) {
    const from = Math.max(start, offset) - offset
    const to = Math.min(end, offset + length) - offset
    const whole = digest ? slices.get(sliceKey(digest)) : undefined
    // Also a longer slice: its first bytes would pass for an image that nobody stored.
    if (digest && whole?.byteLength !== length) throw notAsLong(digest, whole?.byteLength ?? 0, length)
    const slice = whole?.subarray(from, to)
    const isGathered = slice !== undefined && slice.byteLength < GATHERED_MAX
    if (filled > 0 && (!isGathered || filled + slice.byteLength > gathered.byteLength)) {
      yield gathered.subarray(0, filled)
      filled = 0
      gathered = NO_BYTES
    }
    if (!slice) {
      for (let at = from; at < to; at += PIECE_BYTES) yield ZEROS.subarray(0, Math.min(PIECE_BYTES, to - at))
    } else if (isGathered) {
      if (filled === 0) gathered = new Uint8Array(GATHER_BYTES)
      gathered.set(slice, filled)
      filled += slice.byteLength
    } else {
      // Most slices are long enough to go out as they are; copying every one costs more than longer pieces save.
      yield slice
    }
  }
  if (filled > 0) yield gathered.subarray(0, filled)
}

function notAsLong(digest: Uint8Array, actual: number, expected: number): SliceUnreadable {
  return new SliceUnreadable(digest, 'corrupt', `a slice has ${actual} bytes where the manifest says ${expected}`)
}

interface ReadPlan {
  readonly pack: number
  readonly offset: number
  length: number
  readonly wanted: Wanted[]
}

function planOf(wanted: Wanted[]): ReadPlan {
  const { pack, offset, storedLength } = wanted[0]?.location ?? { pack: 0, offset: 0, storedLength: 0 }
  return { pack, offset, length: RECORD_HEADER_BYTES + storedLength, wanted }
}

/** Reads in the order of the disk, neighbours together. */
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

/** The bytes of a plan; undefined when the pack is not there any more. */
async function readPlan(deps: ReaderDeps, plan: ReadPlan): Promise<Buffer | undefined> {
  const pack = deps.index.pack(plan.pack)
  if (!pack) return undefined
  try {
    return await deps.files.use(pack.name, async (file) => {
      const bytes = Buffer.allocUnsafe(plan.length)
      return bytes.subarray(0, await file.read(bytes, plan.offset))
    })
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** The record at `at`, its header and checksum verified against what was asked for; what is wrong with it when it is not that. */
function frameOf({ digest, location }: Wanted, bytes: Buffer, at: number): SliceFrame | string {
  const header = readRecordHeader(bytes, at)
  if (!header) return 'its record has no valid header'
  if (Buffer.compare(header.digest, digest) !== 0) return 'its record holds another slice'
  if (header.storedLength !== location.storedLength) return 'its record has another length'
  const stored = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + header.storedLength)
  if (header.storedLength !== stored.length || checksumOf(stored) !== header.checksum) return CHECKSUM_FAULT
  return { digest, length: header.length, codec: header.codec, stored }
}

/** Least recently used slices, bounded by their bytes. */
function createSliceCache(): { get(key: string): Uint8Array | undefined; add(key: string, bytes: Uint8Array): void } {
  const slices = new Map<string, Uint8Array>()
  let total = 0
  return {
    get(key) {
      const bytes = slices.get(key)
      if (bytes) {
        slices.delete(key)
        slices.set(key, bytes)
      }
      return bytes
    },
    add(key, bytes) {
      if (slices.has(key)) return
      // A slice that was stored as it is lies in a larger read buffer: a copy lets go of the rest.
      const own = bytes.byteLength < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes
      slices.set(key, own)
      total += own.byteLength
      for (const [oldest, old] of slices) {
        if (total <= CACHE_BYTES_MAX) return
        slices.delete(oldest)
        total -= old.byteLength
      }
    },
  }
}
