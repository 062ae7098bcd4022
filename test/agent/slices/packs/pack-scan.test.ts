// Scanning packs: which bytes are records, whatever an image contains, and what one damaged record costs.

import { describe, expect, test } from 'bun:test'
import { encodePackFooter, encodePackHeader, PACK_HEADER_BYTES, recordLength } from '../../../../agent/slices/packs/pack-format.ts'
import type { PackRow } from '../../../../agent/slices/packs/pack-format.ts'
import { readPack } from '../../../../agent/slices/packs/pack-scan.ts'
import { checksumOf, RECORD_HEADER_BYTES, writeRecordHeader } from '../../../../agent/slices/packs/record.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createRandom } from '../../../support/properties.ts'
import { createSliceModel, damage, digestsOf, filesBelow, openStore, readOutcome } from '../../../support/images/slice-model.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

/** A record of uncompressed bytes, and its row. */
function recordAt(offset: number, stored: Buffer): { record: Buffer; row: PackRow } {
  const digest = Buffer.from(Bun.SHA256.hash(stored) as Uint8Array)
  const header = Buffer.alloc(RECORD_HEADER_BYTES)
  writeRecordHeader(header, 0, { digest, codec: 0, length: stored.length, storedLength: stored.length, checksum: checksumOf(stored) })
  return { record: Buffer.concat([header, stored]), row: { digest, offset, length: stored.length, storedLength: stored.length } }
}

describe('an unsealed pack whose last slice ends with a table of contents', () => {
  const first = recordAt(PACK_HEADER_BYTES, createRandom(1).bytes(700))
  const middle = recordAt(PACK_HEADER_BYTES + first.record.length, createRandom(2).bytes(900))
  const lastAt = PACK_HEADER_BYTES + first.record.length + middle.record.length

  /** Reads a pack whose last slice ends with a valid table of these rows. */
  const read = async (listed: readonly PackRow[]) => {
    await using folder = await createTemporaryFolder()
    const noise = createRandom(3).bytes(500)
    const footer = encodePackFooter(listed, lastAt + RECORD_HEADER_BYTES + noise.length)
    const last = recordAt(lastAt, Buffer.concat([noise, footer]))
    await Bun.write(folder.file('a.pack'), Buffer.concat([encodePackHeader(), first.record, middle.record, last.record]))
    await using file = await createDisk().openRead(folder.file('a.pack'))
    return { contents: await readPack(file), end: lastAt + recordLength(last.row), last: last.row }
  }

  test.each([
    ['no row', []],
    ['the first record', [first.row]],
    ['all records before that slice', [first.row, middle.row]],
    ['a record that is not the first', [middle.row]],
    ['a record twice', [first.row, first.row]],
  ])('is read record by record: a table with %s', async (_name, listed) => {
    const { contents, end, last } = await read(listed)
    expect({ ...contents, rows: contents.rows.map(({ offset }) => offset) }).toEqual({
      rows: [first.row.offset, middle.row.offset, last.offset],
      sealed: false,
      end,
      tornBytes: 0,
      bad: [],
      faults: [],
    })
  })
})

test('a sealed pack whose table has another offset than its records is read record by record', async () => {
  const first = recordAt(PACK_HEADER_BYTES, createRandom(1).bytes(700))
  const second = recordAt(PACK_HEADER_BYTES + first.record.length, createRandom(2).bytes(900))
  const end = second.row.offset + second.record.length
  for (const shift of [0, -8]) {
    await using folder = await createTemporaryFolder()
    const footer = encodePackFooter([first.row, { ...second.row, offset: second.row.offset + shift }], end)
    await Bun.write(folder.file('a.pack'), Buffer.concat([encodePackHeader(), first.record, second.record, footer]))
    await using file = await createDisk().openRead(folder.file('a.pack'))
    const { sealed, rows } = await readPack(file)
    expect([shift, sealed]).toEqual([shift, shift === 0])
    expect(rows.map(({ offset }) => offset)).toEqual([first.row.offset, second.row.offset])
  }
})

const MIB = 1024 * 1024
/** More than three windows of 4 MiB, so that several records cross a window's end. */
const PACK_BYTES = 14 * MIB

test('a damaged first record of an unsealed pack affects that slice only, at each start', async () => {
  await using folder = await createTemporaryFolder()
  const model = createSliceModel()
  const options = {
    folder: folder.path,
    roots: [model],
    packSealBytes: 4 * PACK_BYTES,
    cutter: { block: 4096, minimum: 16_384, average: 65_536, maximum: 262_144 },
  }
  {
    await using store = await openStore(options)
    await model.add(store, 'first', createRandom(1).bytes(4096))
    await model.add(store, 'behind it', createRandom(2).bytes(PACK_BYTES))
  }
  const [pack = ''] = await filesBelow(folder.file('mount'), '.pack')
  await damage(pack, PACK_HEADER_BYTES + RECORD_HEADER_BYTES + 10)
  const slices = model.live().size
  for (const start of ['first', 'second']) {
    await using store = await openStore(options)
    expect([start, store.recovered.slicesFound]).toEqual([start, slices - 1])
    expect(store.recovered.faults).toHaveLength(1)
    for (const image of model.images.values()) expect(await readOutcome(store, image)).toBe(image.name === 'first' ? 'unreadable' : 'whole')
    const { missing } = await store.scrub({ bytesPerSecond: Infinity })
    const [lost] = [...model.images.values()].filter((image) => image.name === 'first').flatMap(({ manifest }) => digestsOf(manifest))
    expect(missing).toEqual([{ digest: `sha256:${lost}`, root: 'image first' }])
  }
})

describe('a sealed pack', () => {
  const first = recordAt(PACK_HEADER_BYTES, createRandom(1).bytes(700))
  const second = recordAt(PACK_HEADER_BYTES + first.record.length, createRandom(2).bytes(900))
  const end = second.row.offset + second.record.length

  const read = async (rows: readonly PackRow[], change: (records: Buffer) => void = () => {}) => {
    await using folder = await createTemporaryFolder()
    const bytes = Buffer.concat([encodePackHeader(), first.record, second.record])
    change(bytes)
    await Bun.write(folder.file('a.pack'), Buffer.concat([bytes, encodePackFooter(rows, end)]))
    await using file = await createDisk().openRead(folder.file('a.pack'))
    return await readPack(file)
  }

  test.each<[string, PackRow[], boolean]>([
    ['matches its records', [first.row, second.row], true],
    ['has another length', [{ ...first.row, length: 699 }, second.row], false],
    ['has another digest', [{ ...first.row, digest: second.row.digest }, second.row], false],
    ['has another stored length', [{ ...first.row, storedLength: 699 }, second.row], false],
    ['lacks a record', [first.row], false],
  ])('is trusted only if its table matches the headers: one that %s', async (_what, rows, sealed) => {
    const found = await read(rows)
    expect(found.sealed).toBe(sealed)
    expect(found.rows.map(({ offset, length, storedLength }) => [offset, length, storedLength])).toEqual([
      [16, 700, 700],
      [780, 900, 900],
    ])
    expect(found.rows.map(({ digest }) => Buffer.from(digest))).toEqual([first.row.digest, second.row.digest].map((digest) => Buffer.from(digest)))
  })

  test('whose first header is damaged has a bad stretch up to the next record', async () => {
    const found = await read([first.row, second.row], (bytes) => bytes.fill(0, 16, 80))
    expect(found.bad).toEqual([{ offset: 16, length: 764, digest: undefined }])
    expect(found.rows.map(({ offset }) => offset)).toEqual([780])
  })

  test('whose first slice is damaged has a bad stretch with its digest, and after that each slice is hashed', async () => {
    const one = await read([], (bytes) => void (bytes[100] = (bytes[100] ?? 0) ^ 1))
    expect(one.bad).toEqual([{ offset: 16, length: 764, digest: first.row.digest }])
    expect(one.rows.map(({ offset }) => offset)).toEqual([780])
    // A record with a right checksum over bytes that are not those of its digest: nothing but the hash shows it.
    const forged = recordAt(second.row.offset, createRandom(3).bytes(900)).record
    const two = await read([], (bytes) => {
      bytes.fill(0, 16, 17)
      forged.copy(bytes, second.row.offset)
      const stored = forged.subarray(RECORD_HEADER_BYTES)
      writeRecordHeader(bytes, second.row.offset, { digest: second.row.digest, codec: 0, length: 900, storedLength: 900, checksum: checksumOf(stored) })
    })
    expect(two.rows).toEqual([])
    expect(two.bad.map(({ offset, length }) => [offset, length])).toEqual([
      [16, 764],
      [780, 964],
    ])
  })
})
