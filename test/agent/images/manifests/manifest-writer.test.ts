// Manifests written window by window: the bytes are the same as encoded in memory, and a failure leaves no file.

import { describe, expect, test } from 'bun:test'
import { readdir } from 'node:fs/promises'
import fc from 'fast-check'
import { copyManifest, refuseTooMany, writeManifest } from '../../../../agent/images/manifests/manifest-writer.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { encodeManifest } from '../../../../protocol/slices/manifest.ts'
import type { ManifestEntry } from '../../../../protocol/slices/manifest.ts'
import { createOrderedDisk } from '../../../support/machine/ordered-disk.ts'
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

  test('refuses more than 53,687,089 entries, of which a manifest would have 2 GiB', () => {
    refuseTooMany(53_687_089)
    expect(() => refuseTooMany(53_687_090)).toThrow('An image can have at most 53687089 slices; this one has more.')
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

describe('the file of a manifest', () => {
  const entries = [1, 2, 3].map((i) => ({ length: 4096, digest: digestOf(i) }))

  test('is synced and closed before it gets its name, and one left by a crash is removed first', async () => {
    await using folder = await createTemporaryFolder()
    await Bun.write(folder.file('manifest.next.tmp'), 'left over')
    const ordered = createOrderedDisk()
    await writeManifest({ disk: ordered, pause }, folder.file('manifest'), content(entries, 2))
    const written = ['write manifest.next.tmp', 'write manifest.next.tmp', 'write manifest.next.tmp']
    const named = ['sync manifest.next.tmp', 'close manifest.next.tmp', 'rename manifest.next.tmp manifest']
    expect(ordered.take()).toEqual(['remove manifest.next.tmp', ...written, ...named])
    const { manifest } = await encodeManifest(entries)
    const inPieces = {
      ...manifest,
      async *pieces() {
        for (const [from, to] of [
          [0, 10],
          [10, 100],
          [100, 184],
        ])
          yield manifest.bytes.subarray(from, to)
      },
    }
    await copyManifest(ordered, folder.file('copy'), inPieces)
    expect(ordered.take()).toEqual([...written, ...named.slice(0, 2), 'rename manifest.next.tmp copy'])
    for (const name of ['manifest', 'copy']) expect(Buffer.compare(await Bun.file(folder.file(name)).bytes(), manifest.bytes)).toBe(0)
  })

  test.each<[string, ManifestEntry[]]>([
    ['one entry more, and as long', [...entries.slice(0, 2), { length: 4000, digest: digestOf(3) }, { length: 96, digest: digestOf(4) }]],
    ['as many entries, and one byte more', [...entries.slice(0, 2), { length: 4097, digest: digestOf(3) }]],
  ])('is removed if the entries have changed since they were counted: %s', async (_what, changed) => {
    await using folder = await createTemporaryFolder()
    const ordered = createOrderedDisk()
    let passes = 0
    const blocks = async function* () {
      yield passes++ === 0 ? entries : changed
    }
    await expect(writeManifest({ disk: ordered, pause }, folder.file('manifest'), { blocks, length: 3 * 4096 })).rejects.toThrow(
      'changed while its manifest was',
    )
    expect(ordered.take().slice(-2)).toEqual(['close manifest.next.tmp', 'remove manifest.next.tmp'])
    expect(await readdir(folder.path)).toEqual([])
  })

  test('is not created again after another error than that it exists', async () => {
    await using folder = await createTemporaryFolder()
    let opened = 0
    const openWrite: typeof disk.openWrite = (path, mode) =>
      opened++ === 0 ? Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })) : disk.openWrite(path, mode)
    await expect(writeManifest({ disk: { ...disk, openWrite }, pause }, folder.file('manifest'), content(entries, 2))).rejects.toThrow('EIO')
    expect(await readdir(folder.path)).toEqual([])
  })

  test('is counted and then written with a pause after every 16,384 entries, during which no more are read', async () => {
    await using folder = await createTemporaryFolder()
    const many = Array.from({ length: 8192 }, (_, i) => ({ length: 4096, digest: digestOf(i % 10) }))
    const steps: string[] = []
    const blocks = async function* () {
      for (let block = 0; block < 4; block++) {
        steps.push('read')
        yield many
      }
    }
    const paused = async (): Promise<void> => {
      steps.push('pause')
      await new Promise((resolve) => setImmediate(resolve))
      steps.push('go on')
    }
    const openWrite: typeof disk.openWrite = async (path, mode) => {
      const file = await disk.openWrite(path, mode)
      const write: typeof file.write = (parts, position) => {
        steps.push('write')
        return file.write(parts, position)
      }
      return { ...file, write }
    }
    await writeManifest({ disk: { ...disk, openWrite }, pause: paused }, folder.file('manifest'), { blocks, length: 4 * 8192 * 4096 })
    const counted = ['read', 'read', 'pause', 'go on']
    const written = ['read', 'read', 'write', 'pause', 'go on']
    expect(steps).toEqual([...counted, ...counted, 'write', ...written, ...written, 'write'])
  })

  test('has an entry that begins at exactly 4 GiB', async () => {
    await using folder = await createTemporaryFolder()
    const long = Array.from({ length: 1026 }, (_, i) => ({ length: 4_194_304, digest: digestOf(i) }))
    await writeManifest({ disk, pause }, folder.file('manifest'), content(long, 1000))
    const { manifest } = await encodeManifest(long)
    expect(Buffer.compare(await Bun.file(folder.file('manifest')).bytes(), manifest.bytes)).toBe(0)
  })

  test('is not begun if its content is aborted while it is counted', async () => {
    await using folder = await createTemporaryFolder()
    const stop = new AbortController()
    let passes = 0
    const blocks = async function* () {
      passes++
      stop.abort(new Error('enough'))
      yield entries
    }
    const aborted = writeManifest({ disk, pause }, folder.file('manifest'), { blocks, length: 3 * 4096, signal: stop.signal })
    await expect(aborted).rejects.toThrow('enough')
    expect(passes).toBe(1)
  })
})
