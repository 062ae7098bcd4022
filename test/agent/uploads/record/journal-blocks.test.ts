// How long the blocks are in which a journal is rewritten and joined: they are held in memory, one at a time, so they are bounded.

import { expect, test } from 'bun:test'
import { createDisk } from '../../../../agent/system/disk.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { splice } from '../../../../agent/uploads/concatenation.ts'
import { packEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import type { PackedEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import { Journal } from '../../../../agent/uploads/record/journal.ts'
import type { Upload } from '../../../../agent/uploads/record/upload.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { uploadFile } from './upload-file-of.ts'

const MIB = 1_048_576
const NO_TAIL = new Uint8Array(0)
const deps = { disk: createDisk(), random: (length: number) => new Uint8Array(length).fill(3) }

/** Returns entries of 4,096 zeros. */
function entries(count: number): PackedEntries {
  return packEntries(Array.from({ length: count }, () => ({ length: 4096, digest: null })))
}

async function blocksOf(journal: Journal): Promise<number[]> {
  const blocks: number[] = []
  for await (const packed of journal.entries()) blocks.push(packed.byteLength / 36)
  return blocks
}

/** Records of these numbers of entries: the first two and the third make more than 65,536, and the last two exactly as many. */
const COUNTS = [30_000, 32_768, 32_768, 32_768]
const JOINED = [62_768, 65_536]

test('a journal is rewritten in records of at most 65,536 entries', async () => {
  await using folder = await createTemporaryFolder()
  let journal = Journal.empty(deps, folder.file('journal'))
  // Each tail replaces the one before, and the last append leaves none: the file is then mostly superseded.
  for (const [i, count] of COUNTS.entries()) {
    expect(await blocksOf(journal)).toEqual(COUNTS.slice(0, i))
    await journal.append({ entries: entries(count), tail: i < 3 ? new Uint8Array(4 * MIB) : NO_TAIL, timeMs: 5 })
  }
  // A header of 32 bytes, two records with 40 each, and 36 for each entry.
  expect(journal.length).toBe(32 + 2 * 40 + 128_304 * 36)
  for (let i = 0; i < 2; i++) {
    expect([await blocksOf(journal), journal.entryCount, journal.offset]).toEqual([JOINED, 128_304, 525_533_184])
    await journal.close()
    journal = await Journal.load(deps, folder.file('journal'))
  }
})

test('parts are joined in records of at most 65,536 entries, which ends when the agent stops', async () => {
  await using folder = await createTemporaryFolder()
  const made = (id: string): Upload => ({ file: uploadFile({ id, kind: 'partial' }), journal: Journal.empty(deps, folder.file(id)) })
  const parts: Upload[] = []
  for (const [i, count] of COUNTS.entries()) {
    const part = made(`part-${i}`)
    await part.journal.append({ entries: entries(count), tail: NO_TAIL, timeMs: 5 })
    await part.journal.close()
    parts.push(part)
  }
  const final = made('final')
  await splice(parts, final, { clock: systemClock, crashPoint() {}, signal: new AbortController().signal })
  expect([await blocksOf(final.journal), final.journal.offset]).toEqual([JOINED, 525_533_184])
  const late = made('late')
  const stopped = AbortSignal.abort(new Error('the agent is stopping'))
  await expect(splice(parts, late, { clock: systemClock, crashPoint() {}, signal: stopped })).rejects.toThrow('the agent is stopping')
  expect(late.journal.offset).toBe(0)
})
