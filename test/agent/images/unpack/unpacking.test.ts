// Images that are uploaded with decompress=true: unpacked before their inspection, bounded, protected from gc, and without a trace when refused.

import { describe, expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { CatalogueDeps } from '../../../../agent/images/catalogue-parts.ts'
import { UNPACK_BYTES_FREE } from '../../../../agent/images/unpack/unpack-limits.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import type { ImageStore } from '../../../support/images/image-store.ts'
import { requireTool } from '../../../support/require.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'

const MIB = 1024 * 1024
const RAW = Buffer.concat([seededBytes(300_000, 1), new Uint8Array(2 * MIB), seededBytes(200_001, 2)])
const DECOMPRESS = { decompress: true }
const SPACE: NonNullable<CatalogueDeps['space']> = {
  promise: async () => true,
  state: async () => ({ totalBytes: 100, freeBytes: 90, reservedBytes: 0, promisedBytes: 0, availableBytes: 90 }),
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${Bun.SHA256.hash(bytes, 'hex')}`
}

/** Returns the names of the files in the folder of an image. */
function filesOf(store: ImageStore, id: string): string[] {
  return readdirSync(join(store.mount, 'images', id)).toSorted()
}

async function addTo(options: Parameters<typeof openImageStore>[1], bytes: Uint8Array, draft = {}): Promise<Image> {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder, options)
  return await store.add(bytes, { ...DECOMPRESS, ...draft })
}

describe('an image of a compressed file', () => {
  test.each([
    ['gzip', gzipSync(RAW)],
    ['zstd', zstdCompressSync(RAW)],
    ['gzip of two members', Buffer.concat([gzipSync(RAW.subarray(0, 77_777)), gzipSync(RAW.subarray(77_777))])],
    ['zstd of two frames', Buffer.concat([zstdCompressSync(RAW.subarray(0, 77_777)), zstdCompressSync(RAW.subarray(77_777))])],
  ])('%s is what it unpacks to', async (_name, bytes) => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const image = await store.add(bytes, DECOMPRESS)
    expect(image).toMatchObject({ status: 'available', format: 'raw', length: RAW.byteLength, virtualSize: RAW.byteLength, digest: digestOf(RAW) })
    expect((await store.read(image.id)).equals(RAW)).toBe(true)
    expect(filesOf(store, image.id)).toEqual(['image.json', 'manifest'])
  })

  requireTool('xz', 'xz-utils')('xz of one and of two streams is what it unpacks to', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const xz = (bytes: Uint8Array): Uint8Array => Bun.spawnSync(['xz', '-1', '-c'], { stdin: bytes }).stdout
    for (const bytes of [xz(RAW), Buffer.concat([xz(RAW.subarray(0, 77_777)), xz(RAW.subarray(77_777))])]) {
      const image = await store.add(bytes, DECOMPRESS)
      expect(image).toMatchObject({ status: 'available', length: RAW.byteLength, digest: digestOf(RAW) })
      expect((await store.read(image.id)).equals(RAW)).toBe(true)
    }
  })

  test('has the length of its file, no manifest, and no content until it is unpacked', async () => {
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const bytes = gzipSync(RAW)
    const image = await store.publish(bytes, DECOMPRESS)
    expect(image).toMatchObject({ status: 'creating', length: bytes.byteLength, manifestDigest: null })
    expect(await store.catalogue.open(image.id).catch((error: unknown) => String(error))).toContain('is not unpacked yet')
    await store.catalogue.settled()
    expect(store.catalogue.find(image.id)?.status).toBe('available')
  })

  test('is verified by the digest of its file, and shows the digest of its content', async () => {
    const bytes = gzipSync(RAW)
    expect(await addTo({}, bytes, { digest: digestOf(bytes) })).toMatchObject({ status: 'available', digest: digestOf(RAW) })
    const refused = await addTo({}, bytes, { digest: digestOf(RAW) })
    expect(refused).toMatchObject({ status: 'error', digest: null })
    expect(refused.statusReason).toStartWith(
      `Digest mismatch: expected ${digestOf(RAW)} for the compressed file, but the received bytes have ${digestOf(bytes)}.`,
    )
  })

  test('is compared with the declared format after it is unpacked', async () => {
    expect(await addTo({}, gzipSync(RAW), { format: 'raw' })).toMatchObject({ status: 'available', format: 'raw' })
    expect((await addTo({}, gzipSync(RAW), { format: 'iso' })).statusReason).toContain('declared as iso, but its bytes are raw')
  })

  test('survives gc while it is unpacked and afterwards', async () => {
    await using folder = await createTemporaryFolder()
    const collected: Promise<unknown>[] = []
    let store: ImageStore | undefined
    await using opened = await openImageStore(folder, {
      crashPoint(name) {
        if (store && name.startsWith('images:unpack')) collected.push(store.slices.gc({ dryRun: false }))
      },
    })
    store = opened
    const raw = seededBytes(70 * MIB, 9)
    const { id, status } = await opened.add(zstdCompressSync(raw), DECOMPRESS)
    expect(status).toBe('available')
    expect((await Promise.all(collected)).length).toBeGreaterThanOrEqual(4)
    await opened.slices.gc({ dryRun: false })
    expect((await opened.read(id)).equals(raw)).toBe(true)
    const report = await opened.slices.scrub({ bytesPerSecond: 10 ** 12 })
    expect(report).toMatchObject({ corrupt: [], missing: [] })
  }, 60_000)
})

describe('refusal', () => {
  const gz = gzipSync(RAW)
  const zst = zstdCompressSync(RAW)
  const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4])
  test.each<[string, Uint8Array, string]>([
    ['a file that is not compressed', RAW, 'The file is not compressed with gzip, xz or zstd'],
    ['gzip without its end', gz.subarray(0, -5), 'it is cut off'],
    ['gzip cut at its half', gz.subarray(0, gz.length >> 1), 'it is cut off'],
    ['gzip with a wrong checksum', Buffer.concat([gz.subarray(0, -8), Buffer.from([1, 2, 3, 4]), gz.subarray(-4)]), 'it is damaged (incorrect data check)'],
    ['gzip followed by other bytes', Buffer.concat([gz, Buffer.from('more')]), 'it is damaged (incorrect header check)'],
    ['gzip followed by zeros', Buffer.concat([gz, new Uint8Array(1000)]), 'bytes follow its last gzip member'],
    ['gzip followed by many zeros', Buffer.concat([gz, new Uint8Array(5 * MIB)]), 'bytes follow its last gzip member'],
    ['zstd without its end', zst.subarray(0, -3), 'it is cut off'],
    ['zstd cut at its half', zst.subarray(0, zst.length >> 1), 'it is cut off'],
    ['zstd followed by other bytes', Buffer.concat([zst, Buffer.from('more bytes')]), 'bytes follow its last zstd frame'],
    ['zstd followed by one byte', Buffer.concat([zst, Buffer.from('m')]), 'bytes follow its last zstd frame'],
    ['zstd with a window of 128 MiB', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x88, 1, 0, 0]), 'it needs a window of 134217728 bytes'],
    [
      'zstd of a single segment of 2^63 bytes',
      Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0]),
      'it needs a window of 9223372036854776000',
    ],
    ['zstd with a dictionary', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 0, 1, 0, 0]), 'its zstd frame needs a dictionary'],
    ['zstd with a block of a reserved kind', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 7, 0, 0]), 'it has a zstd block of a reserved kind'],
    ['xz that is only its magic', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), 'it is cut off'],
    ['xz that is not one', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 9, 9, 9, 9, 9, 9]), 'The compressed file cannot be unpacked'],
    ['zstd that unpacks to nothing', skippable, 'The upload was empty'],
    ['gzip in gzip', gzipSync(gz), 'compressed with gzip'],
    ['zstd in gzip', gzipSync(zst), 'compressed with zstd'],
  ])('%s', async (_name, bytes, says) => {
    const { status, statusReason } = await addTo({}, bytes)
    expect(status).toBe('error')
    expect(statusReason).toContain(says)
  })

  const MORE = Buffer.from('more')
  const kinds: [string, (bytes: Uint8Array) => Uint8Array, ReturnType<typeof requireTool>][] = [
    ['gzip', (bytes) => gzipSync(bytes), test],
    ['zstd', (bytes) => zstdCompressSync(bytes), test],
    ['xz', (bytes) => Bun.spawnSync(['xz', '-6', '-c'], { stdin: bytes }).stdout, requireTool('xz', 'xz-utils')],
  ]
  const faults: [string, (bytes: Uint8Array, pack: (raw: Uint8Array) => Uint8Array) => Uint8Array, RegExp][] = [
    ['that is cut off in its last bytes', (bytes) => bytes.subarray(0, -5), /cannot be unpacked/],
    ['that is cut off in the middle', (bytes) => bytes.subarray(0, bytes.byteLength >> 1), /cannot be unpacked/],
    ['that other bytes follow', (bytes) => Buffer.concat([bytes, MORE]), /cannot be unpacked/],
    ['that is a bomb', (_, pack) => Buffer.concat(Array(20).fill(pack(new Uint8Array(64 * MIB)))), /the limit of this store \(uploads.max-length\)/],
  ]
  for (const [kind, pack, run] of kinds)
    for (const [fault, make, says] of faults)
      run(
        `${kind} ${fault} is not kept: no file and no slice is left after gc, also after a restart`,
        async () => {
          await using folder = await createTemporaryFolder()
          const retention = { deletion: 'immediate', retentionMs: 0 } as const
          let id = ''
          {
            await using store = await openImageStore(folder, { retention, imageLengthMax: 100 * MIB })
            const image = await store.add(make(pack(RAW), pack), DECOMPRESS)
            id = image.id
            expect([image.status, image.manifestDigest]).toEqual(['error', null])
            expect(image.statusReason).toMatch(says)
            expect(filesOf(store, id)).toEqual(['image.json'])
            await store.slices.gc({ dryRun: false })
            expect(store.slices.stats().slices).toBe(0)
            expect(await store.catalogue.restore(id, 'ann').catch((error: unknown) => String(error))).toContain('is error, not in the recycle bin')
          }
          // A crash may leave the file.
          await Bun.write(join(folder.file('mount'), 'images', id, 'compressed'), 'left')
          await using again = await openImageStore(folder, { retention })
          expect(again.catalogue.find(id)).toMatchObject({ status: 'error', statusReason: expect.stringMatching(says) })
          expect(filesOf(again, id)).toEqual(['image.json'])
          await again.catalogue.delete(id, 'ann')
          expect(readdirSync(join(again.mount, 'images'))).toEqual([])
        },
        60_000,
      )

  test('for the digest of its file, or because it is not compressed, is not kept either', async () => {
    for (const [bytes, draft, says] of [
      [gz, { digest: `sha256:${'0'.repeat(64)}` }, 'Digest mismatch'],
      [RAW, {}, 'is not compressed with gzip, xz or zstd'],
    ] as const) {
      await using folder = await createTemporaryFolder()
      await using store = await openImageStore(folder)
      const { id, statusReason } = await store.add(bytes, { ...DECOMPRESS, ...draft })
      expect(statusReason).toContain(says)
      expect(filesOf(store, id)).toEqual(['image.json'])
      await store.slices.gc({ dryRun: false })
      expect(store.slices.stats().slices).toBe(0)
    }
  })

  test('keeps the compressed file, so that restoring unpacks it again', async () => {
    await using folder = await createTemporaryFolder()
    let isFull = true
    await using store = await openImageStore(folder, { space: { ...SPACE, promise: async (_key, bytes) => bytes === 0 || !isFull } })
    const { id, statusReason } = await store.add(gz, DECOMPRESS)
    expect(statusReason).toBe('The store has 90 B above its reserve; unpacking needs 67 MB more. Free space, then restore the image to unpack it again.')
    await store.slices.gc({ dryRun: false })
    isFull = false
    expect(await store.catalogue.restore(id, 'ann')).toMatchObject({ status: 'creating' })
    await store.catalogue.settled()
    expect(store.catalogue.find(id)).toMatchObject({ status: 'available', digest: digestOf(RAW) })
  })
})

describe('bounds', () => {
  test('a few kilobytes that unpack to 10 GB are refused after the first gigabyte', async () => {
    // One frame of 80,000 blocks, each of 128 KiB of the same byte.
    const frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38]
    const block = (isLast: boolean): number[] => [(isLast ? 1 : 0) | 2 | ((131_072 << 3) & 0xff), (131_072 >> 5) & 0xff, 131_072 >> 13, 0]
    const bomb = Buffer.from([...frame, ...Array.from({ length: 2499 }, () => block(false)).flat(), ...block(true)])
    expect(bomb.byteLength).toBe(10_006)
    const parts = Array.from({ length: 32 }, () => bomb)
    await using folder = await createTemporaryFolder()
    await using store = await openImageStore(folder)
    const { id, status, statusReason } = await store.add(Buffer.concat(parts), DECOMPRESS)
    expect(status).toBe('error')
    expect(statusReason).toContain('it unpacks to more than 1000 times its length')
    expect(filesOf(store, id)).toEqual(['image.json'])
    await store.slices.gc({ dryRun: false })
    expect(store.slices.stats().slices).toBe(0)
    expect(UNPACK_BYTES_FREE).toBe(1_073_741_824)
  }, 120_000)

  test('an image must not be longer than the longest upload', async () => {
    expect(await addTo({ imageLengthMax: RAW.byteLength }, gzipSync(RAW))).toMatchObject({ status: 'available' })
    const { status, statusReason } = await addTo({ imageLengthMax: RAW.byteLength - 1 }, gzipSync(RAW))
    expect(status).toBe('error')
    expect(statusReason).toContain('the limit of this store (uploads.max-length)')
  })

  test('its owner must not have more bytes than the limit', async () => {
    const { status, statusReason } = await addTo({ bytesPerOwnerMax: RAW.byteLength - 1 }, gzipSync(RAW), { owner: 'ann' })
    expect(status).toBe('error')
    expect(statusReason).toStartWith('Maximum image limit reached: ')
  })

  test('space is promised for each step, and released in the end', async () => {
    const promised: number[] = []
    const space = { ...SPACE, promise: async (_key: string, bytes: number) => promised.push(bytes) > 0 }
    expect(await addTo({ space }, gzipSync(new Uint8Array(130 * MIB)))).toMatchObject({ status: 'available', length: 130 * MIB })
    expect(promised).toEqual([64 * MIB, 64 * MIB, 64 * MIB, 0])
  })
})
