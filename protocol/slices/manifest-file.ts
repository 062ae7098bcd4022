// A manifest in a file that is read block by block, on the mount path or where a sync keeps that of its source. Opening it verifies all of it
// once. After that, a checksum of each block, kept in memory, detects blocks that have changed since.

import { formatDigest } from './digest.ts'
import type { Digest } from './digest.ts'
import {
  checkBlock,
  decodeManifestHeader,
  findIn,
  MANIFEST_BLOCK_ENTRIES,
  MANIFEST_ENTRY_BYTES,
  MANIFEST_HEADER_BYTES,
  MANIFEST_TRAILER_BYTES,
  ManifestInvalid,
  manifestLength,
  viewEntries,
} from './manifest.ts'
import type { Manifest, ManifestBlock } from './manifest.ts'

/** Blocks that an open manifest caches, 80 KiB each: readers of small ranges need the same block again. */
const BLOCKS_KEPT_MAX = 4
const OFFSET_BYTES = 8
const BLOCK_BYTES = MANIFEST_BLOCK_ENTRIES * MANIFEST_ENTRY_BYTES

/** The file of a manifest. Its opener closes it after the last use of the manifest. */
export interface ManifestFile {
  length(): Promise<number>
  /** Fills `into` from the file at `position`; returns the bytes read, fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
}

/** Hashes that no Web API offers: incremental SHA-256, and a fast checksum. */
export interface ManifestHashes {
  sha256(): { update(bytes: Uint8Array): unknown; digest(): Uint8Array }
  checksum(bytes: Uint8Array): bigint
}

export interface OpenedManifest {
  readonly manifest: Manifest
  readonly digest: Digest
}

/** One block and its bytes. */
interface Block {
  readonly entries: ManifestBlock
  /** The encoded entries. */
  readonly bytes: Uint8Array<ArrayBuffer>
}

/**
 * Reads a whole manifest and verifies its structure and its digest. The returned manifest takes 16 bytes of memory for each block, 410 KiB for the
 * longest manifest. Throws ManifestInvalid. Each block is one read of the file, so the event loop is never blocked for longer than one block.
 */
export async function openManifest(file: ManifestFile, hashes: ManifestHashes): Promise<OpenedManifest> {
  const { count, imageLength } = await readHeader(file)
  const blocks = Math.ceil(count / MANIFEST_BLOCK_ENTRIES)
  const fences = new Float64Array(blocks)
  const checksums = new BigUint64Array(blocks)
  const walk = walkBlocks(file, hashes, { count, imageLength })
  for (;;) {
    const { value, done } = await walk.next()
    if (done) return { manifest: manifestIn(file, hashes, { count, imageLength, fences, checksums }), digest: value }
    const at = value.entries.first / MANIFEST_BLOCK_ENTRIES
    fences[at] = value.entries.offsetAt(value.entries.first)
    checksums[at] = hashes.checksum(value.bytes)
  }
}

/**
 * Yields the blocks of a manifest while verifying it, and returns its digest. Blocks may be wrong until the generator has returned. Throws
 * ManifestInvalid.
 */
export function walkManifest(file: ManifestFile, hashes: ManifestHashes): AsyncGenerator<ManifestBlock, Digest> {
  return walkParts(file, hashes, ({ entries }) => entries)
}

/** Like `walkManifest`, but yields the encoded entries of each block. */
export function walkManifestBytes(file: ManifestFile, hashes: ManifestHashes): AsyncGenerator<Uint8Array<ArrayBuffer>, Digest> {
  return walkParts(file, hashes, ({ bytes }) => bytes)
}

async function* walkParts<Part>(file: ManifestFile, hashes: ManifestHashes, partOf: (block: Block) => Part): AsyncGenerator<Part, Digest> {
  const walk = walkBlocks(file, hashes, await readHeader(file))
  for (;;) {
    const { value, done } = await walk.next()
    if (done) return value
    yield partOf(value)
  }
}

type Size = Pick<Manifest, 'count' | 'imageLength'>

async function readHeader(file: ManifestFile): Promise<Size> {
  const length = await file.length()
  if (length < manifestLength(0)) throw new ManifestInvalid('shorter than the smallest manifest')
  const size = decodeManifestHeader(await readExactly(file, 0, MANIFEST_HEADER_BYTES))
  if (manifestLength(size.count) !== length) throw new ManifestInvalid(`${size.count} entries do not fill ${length} bytes`)
  return size
}

async function* walkBlocks(file: ManifestFile, hashes: ManifestHashes, size: Size): AsyncGenerator<Block, Digest> {
  const hash = hashes.sha256()
  hash.update(await readExactly(file, 0, MANIFEST_HEADER_BYTES))
  let wasZero = false
  for (let first = 0; first < size.count; first += MANIFEST_BLOCK_ENTRIES) {
    const block = await readBlock(file, size, first)
    hash.update(block.bytes)
    wasZero = checkBlock(block.entries, wasZero)
    yield block
  }
  const digest = new Uint8Array(hash.digest())
  const trailer = await readExactly(file, manifestLength(size.count) - MANIFEST_TRAILER_BYTES, MANIFEST_TRAILER_BYTES)
  if (digest.some((byte, i) => byte !== trailer[i])) throw new ManifestInvalid('the digest of the manifest does not match its bytes')
  return formatDigest(digest)
}

/** Reads the block that begins with an entry; it ends where the entry after it begins. */
async function readBlock(file: ManifestFile, { count, imageLength }: Size, first: number): Promise<Block> {
  const own = Math.min(MANIFEST_BLOCK_ENTRIES, count - first)
  const isLast = first + own === count
  const read = await readExactly(file, MANIFEST_HEADER_BYTES + first * MANIFEST_ENTRY_BYTES, own * MANIFEST_ENTRY_BYTES + (isLast ? 0 : OFFSET_BYTES))
  const bytes = read.subarray(0, own * MANIFEST_ENTRY_BYTES)
  const end = isLast ? imageLength : Number(new DataView(read.buffer).getBigUint64(bytes.byteLength, true))
  return { bytes, entries: viewEntries(bytes, first, own, end) }
}

async function readExactly(file: ManifestFile, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length)
  if ((await file.read(bytes, position)) < length) throw new ManifestInvalid('its file became shorter')
  return bytes
}

interface Tables extends Size {
  /** Offset in the image at which each block begins. */
  readonly fences: Float64Array
  readonly checksums: BigUint64Array
}

function manifestIn(file: ManifestFile, hashes: ManifestHashes, { count, imageLength, fences, checksums }: Tables): Manifest {
  const kept = new Map<number, Block>()

  const blockAt = async (at: number): Promise<Block> => {
    const known = kept.get(at)
    if (known) return known
    const block = await readBlock(file, { count, imageLength }, at * MANIFEST_BLOCK_ENTRIES)
    const end = at + 1 < fences.length ? fences[at + 1] : imageLength
    const last = block.entries.first + block.entries.count - 1
    const isSame = hashes.checksum(block.bytes) === checksums[at] && block.entries.offsetAt(last) + block.entries.lengthAt(last) === end
    if (!isSame) throw new ManifestInvalid('its file has changed since it was verified')
    kept.set(at, block)
    for (const oldest of kept.keys()) {
      if (kept.size <= BLOCKS_KEPT_MAX) break
      kept.delete(oldest)
    }
    return block
  }

  return {
    count,
    imageLength,
    async *blocks(from = 0) {
      for (let i = from; i < count;) {
        const { entries } = await blockAt(Math.floor(i / MANIFEST_BLOCK_ENTRIES))
        const end = entries.first + entries.count
        yield i === entries.first ? entries : { ...entries, first: i, count: end - i }
        i = end
      }
    },
    async find(offset) {
      let low = 0
      let high = fences.length - 1
      while (low < high) {
        const middle = Math.ceil((low + high) / 2)
        if ((fences[middle] ?? 0) <= offset) low = middle
        else high = middle - 1
      }
      return findIn((await blockAt(low)).entries, offset)
    },
    async *pieces(position = 0) {
      const trailerAt = manifestLength(count) - MANIFEST_TRAILER_BYTES
      let at = position
      if (at < MANIFEST_HEADER_BYTES) yield (await readExactly(file, 0, MANIFEST_HEADER_BYTES)).subarray(at)
      at = Math.max(at, MANIFEST_HEADER_BYTES)
      while (at < trailerAt) {
        const block = Math.floor((at - MANIFEST_HEADER_BYTES) / BLOCK_BYTES)
        const piece = (await blockAt(block)).bytes.subarray(at - MANIFEST_HEADER_BYTES - block * BLOCK_BYTES)
        yield piece
        at += piece.byteLength
      }
      if (at < manifestLength(count)) yield (await readExactly(file, trailerAt, MANIFEST_TRAILER_BYTES)).subarray(at - trailerAt)
    },
  }
}
