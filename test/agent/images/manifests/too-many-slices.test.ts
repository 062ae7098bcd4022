// The manifest of an image with more slices than a manifest can have: counting them takes seconds.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import { writeManifest } from '../../../../agent/images/manifests/manifest-writer.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { MANIFEST_ENTRIES_MAX } from '../../../../protocol/slices/manifest.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

setDefaultTimeout(60_000)

test('an image with too many slices is refused before anything is written, and the event loop stays free', async () => {
  await using folder = await createTemporaryFolder()
  const disk = createDisk()
  const digest = new Uint8Array(32).fill(1)
  const block = Array.from({ length: 65_536 }, () => ({ length: 4096, digest }))
  const count = MANIFEST_ENTRIES_MAX + 1
  const blocks = async function* () {
    for (let left = count; left > 0; left -= block.length) yield left < block.length ? block.slice(0, left) : block
  }
  let pauses = 0
  const counted = async (): Promise<void> => void pauses++
  const refused = writeManifest({ disk, pause: counted }, folder.file('manifest'), { blocks, length: count * 4096 })
  await expect(refused).rejects.toMatchObject({ code: 'payload-too-large', problem: { limit: 53_687_089 } })
  expect(pauses).toBeGreaterThan(count / 20_000)
  expect(await readdir(folder.path)).toEqual([])
})
