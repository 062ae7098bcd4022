// The spool of entries: what was appended comes back in order, and nothing is left of it afterwards.

import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { createEntrySpool } from '../../../../agent/images/unpack/entry-spool.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const entryOf = (i: number): ManifestEntry => ({
  length: i === 7 ? 2 ** 40 : 4096 + i,
  digest: i % 5 === 3 ? null : Uint8Array.from([i & 255, i >> 8, ...new Uint8Array(29), 9]),
})

test('entries come back in blocks of 2048, with their lengths and digests', async () => {
  await using folder = await createTemporaryFolder()
  await Bun.write(folder.file('unpacked.tmp'), 'left by a crash')
  const entries = Array.from({ length: 5000 }, (_, i) => entryOf(i))
  const spool = await createEntrySpool(createDisk(), folder.path)
  expect(spool.length).toBe(0)
  await spool.append(entries.slice(0, 1))
  await spool.append([])
  await spool.append(entries.slice(1))
  const blocks: ManifestEntry[][] = []
  for await (const block of spool.blocks()) blocks.push(block)
  expect(blocks.map(({ length }) => length)).toEqual([2048, 2048, 904])
  expect(blocks.flat()).toEqual(entries)
  // 5000 lengths from 4096, and one of 2^40 in place of 4103.
  expect(spool.length).toBe(1_099_544_601_173)
  await spool[Symbol.asyncDispose]()
  expect(existsSync(folder.file('unpacked.tmp'))).toBe(false)
  expect(await Array.fromAsync(spool.blocks())).toEqual([])
})
