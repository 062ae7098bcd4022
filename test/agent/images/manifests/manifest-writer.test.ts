// Manifests written window by window: the bytes are the same as encoded in memory, and a failure leaves no file.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import fc from 'fast-check'
import { writeManifest } from '../../../../agent/images/manifests/manifest-writer.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { encodeManifest, MANIFEST_ENTRIES_MAX } from '../../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const disk = createDisk()
const pause = (): Promise<void> => Bun.sleep(0)
const digestOf = (i: number): Uint8Array => new Bun.CryptoHasher('sha256').update(String(i)).digest()

function content(entries: readonly ManifestEntry[], perBlock: number, length = entries.reduce((sum, entry) => sum + entry.length, 0)) {
  const blocks = async function* () {
    for (let at = 0; at < entries.length; at += perBlock) yield entries.slice(at, at + perBlock)
  }
  return { blocks, length }
}

describe('writeManifest', () => {
  test('writes the same bytes as encodeManifest, regardless of block boundaries', async () => {
    await using folder = await createTemporaryFolder()
    const entry = fc.record({ length: fc.nat({ max: 200_000 }), digest: fc.option(fc.nat({ max: 50 }).map(digestOf)) })
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 40 }), fc.integer({ min: 1, max: 9 }), async (entries, perBlock) => {
        const path = folder.file('manifest')
        const written = await writeManifest({ disk, pause }, path, content(entries, perBlock))
        const { manifest, digest } = await encodeManifest(entries)
        expect(written).toEqual({ digest, imageLength: manifest.imageLength, count: manifest.count })
        expect(Buffer.compare(await Bun.file(path).bytes(), manifest.bytes)).toBe(0)
      }),
      { numRuns: 60 },
    )
    expect(await readdir(folder.path)).toEqual(['manifest'])
  })

  test('writes several windows and offsets above 4 GiB, and replaces a file left by a crash', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('manifest.next.tmp'), 'left over')
    const entries = Array.from({ length: 40_000 }, (_, i) => ({ length: 200_000 + i, digest: i % 7 === 0 ? null : digestOf(i % 100) }))
    const written = await writeManifest({ disk, pause }, folder.file('manifest'), content(entries, 1000))
    const { manifest, digest } = await encodeManifest(entries)
    expect(written.digest).toBe(digest)
    expect(Buffer.compare(await Bun.file(folder.file('manifest')).bytes(), manifest.bytes)).toBe(0)
  })

  test('refuses too many entries before it writes anything, and keeps the event loop free', async () => {
    await using folder = await createTemporaryFolder()
    const digest = digestOf(1)
    const block = Array.from({ length: 65_536 }, () => ({ length: 4096, digest }))
    const count = MANIFEST_ENTRIES_MAX + 1
    const blocks = async function* () {
      for (let left = count; left > 0; left -= block.length) yield left < block.length ? block.slice(0, left) : block
    }
    let pauses = 0
    const counted = async (): Promise<void> => void pauses++
    const refused = writeManifest({ disk, pause: counted }, folder.file('manifest'), { blocks, length: count * 4096 })
    await expect(refused).rejects.toMatchObject({ code: 'payload-too-large' })
    expect(pauses).toBeGreaterThan(count / 20_000)
    expect(await readdir(folder.path)).toEqual([])
  })

  test('leaves no file if it is aborted, or if the entries do not match the length', async () => {
    await using folder = await createTemporaryFolder()
    const entries = Array.from({ length: 50_000 }, (_, i) => ({ length: 4096, digest: digestOf(i % 10) }))
    const stop = new AbortController()
    let passes = 0
    const { blocks, length } = content(entries, 1000)
    const twice = async function* () {
      passes++
      for await (const block of blocks()) {
        yield block
        if (passes === 2) stop.abort(new Error('enough'))
      }
    }
    await expect(writeManifest({ disk, pause }, folder.file('manifest'), { blocks: twice, length, signal: stop.signal })).rejects.toThrow('enough')
    await expect(writeManifest({ disk, pause }, folder.file('manifest'), content(entries, 1000, 4096))).rejects.toThrow('cover')
    expect(await readdir(folder.path)).toEqual([])
  })
})
