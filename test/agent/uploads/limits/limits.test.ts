// Limits of uploads: how long an upload of an actor may be, and what it needs of the disk. The disk is a number.

import { describe, expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createSpace } from '../../../../agent/system/space.ts'
import {
  adjustSpace,
  bytesToCome,
  concatenationBytes,
  lengthLimit,
  promiseSpace,
  refuseTooLong,
  refuseTooManyEntries,
  renewSpace,
} from '../../../../agent/uploads/limits/limits.ts'
import { packEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import { Journal } from '../../../../agent/uploads/record/journal.ts'
import type { UploadFile } from '../../../../agent/uploads/record/upload-file.ts'
import type { Upload } from '../../../../agent/uploads/record/upload.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { uploadFile } from '../record/upload-file-of.ts'

const MIB = 1_048_576

function linkedActor(maxLength: number): Actor {
  return { name: 'ann', role: 'uploader', link: { id: 'lnk_1', makerTokenId: 'tok_1', maker: { role: 'uploader' }, kind: 'upload', endMs: 1e15, maxLength } }
}

test('the limit of an upload is the smaller of the limits of the store and the link', () => {
  expect(lengthLimit(1000, { name: 'ann', role: 'uploader', tokenId: 'tok_1' })).toBe(1000)
  expect(lengthLimit(1000, linkedActor(400))).toBe(400)
  expect(lengthLimit(1000, linkedActor(5000))).toBe(1000)
})

test('a refusal names the length and the limit', () => {
  expect(refuseTooLong(1001, 1000).problem).toMatchObject({ status: 413, detail: '1001 bytes exceed the limit of 1000 bytes for this upload.', limit: 1000 })
  expect(refuseTooManyEntries(11, 10).problem).toMatchObject({
    status: 413,
    detail: 'The upload would have 11 slices; an image can have at most 10.',
    limit: 10,
  })
})

test('a concatenation needs 36 bytes for each entry in its journal, and 40 in the manifest', () => {
  expect(concatenationBytes(0)).toBe(0)
  expect(concatenationBytes(1000)).toBe(76_000)
})

/** An upload with two slices of 4,096 bytes and a tail of 100 bytes. */
async function uploadWith(changes: Partial<UploadFile>) {
  const folder = await createTemporaryFolder()
  const journal = Journal.empty({ disk: createDisk(), random: (length) => new Uint8Array(length) }, folder.file('journal'))
  const digest = new Uint8Array(32).fill(7)
  const entries = packEntries([
    { length: 4096, digest },
    { length: 4096, digest },
  ])
  await journal.append({ entries, tail: new Uint8Array(100), timeMs: 5 })
  await journal.close()
  const upload: Upload = { file: uploadFile(changes), journal }
  return { upload, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

describe('the bytes that an upload still needs', () => {
  test.each([
    // The bytes that are missing, and 40 in the manifest for each of the two entries.
    [{ length: 10_000 }, 1788],
    [{ length: 8292 }, 80],
    [{ length: null }, 80],
    // A part becomes no image.
    [{ length: 10_000, kind: 'partial' }, 1708],
  ] as const)('with %j are %d', async (changes, bytes) => {
    await using made = await uploadWith(changes)
    expect(bytesToCome(made.upload)).toBe(bytes)
  })
})

describe('space', () => {
  function createAccount(freeBytes: number, reservedBytes = 0) {
    const clock = createManualClock()
    const free = { bytes: freeBytes }
    const disk = { space: async () => ({ totalBytes: 1000 * MIB, freeBytes: free.bytes }) }
    return { clock, free, space: createSpace({ disk, clock, mount: '/', reservedBytes: () => reservedBytes }) }
  }

  test('that does not suffice refuses an upload, with what it needs and what there is', async () => {
    const { space } = createAccount(10 * MIB)
    await promiseSpace(space, uploadFile(), { bytes: 10 * MIB, fitting: 10 * MIB })
    const refusal: unknown = await promiseSpace(space, uploadFile({ id: 'upl_2', creatorTokenId: 'tok_bob' }), { bytes: 6 * MIB, fitting: 6 * MIB }).catch(
      (error) => error,
    )
    expect(refusal).toMatchObject({
      problem: {
        status: 507,
        detail: 'The upload needs 6.3 MB; the store has 5.2 MB above its reserve. Everything acknowledged is kept.',
        neededBytes: 6_291_456,
        availableBytes: 5_242_880,
      },
    })
  })

  test('is promised to the token of an upload, and to uploads without one together', async () => {
    const { space } = createAccount(8 * MIB)
    const order = { bytes: 8 * MIB, fitting: 0 }
    await promiseSpace(space, uploadFile({ id: 'upl_1' }), order)
    await promiseSpace(space, uploadFile({ id: 'upl_2' }), order)
    expect((await space.state()).promisedBytes).toBe(4 * MIB)
    await promiseSpace(space, uploadFile({ id: 'upl_3', creatorTokenId: null }), order)
    await promiseSpace(space, uploadFile({ id: 'upl_4', creatorTokenId: null }), order)
    expect((await space.state()).promisedBytes).toBe(6 * MIB)
  })

  test('is given back as bytes arrive', async () => {
    const { space } = createAccount(8 * MIB)
    await using made = await uploadWith({ length: 10_000 })
    await promiseSpace(space, made.upload.file, { bytes: 10_000, fitting: 10_000 })
    expect((await space.state()).promisedBytes).toBe(10_000)
    await adjustSpace(space, made.upload)
    expect((await space.state()).promisedBytes).toBe(1788)
  })

  test.each([
    // Of a known length, the rest must fit, and of a long one the next 64 MiB.
    ['the rest of a short upload', { length: 8292 + 1000 }, 1000],
    ['64 MiB of a long upload', { length: 100 * MIB }, 67_108_864],
    ['1 MiB of an upload of deferred length', { length: null }, 1_048_576],
  ])('for %s must fit before it goes on', async (_what, changes, fitting) => {
    await using made = await uploadWith(changes)
    await renewSpace(createAccount(fitting).space, made.upload)
    await expect(renewSpace(createAccount(fitting - 1).space, made.upload)).rejects.toMatchObject({ problem: { status: 507, neededBytes: fitting } })
  })

  test('below the reserve refuses every byte, also of an upload that was promised them', async () => {
    await using made = await uploadWith({ length: 9292 })
    const { space, free, clock } = createAccount(5000, 1000)
    await renewSpace(space, made.upload)
    clock.advance(1000)
    free.bytes = 999
    await expect(renewSpace(space, made.upload)).rejects.toThrow('The free space of the store is below its reserve. Everything acknowledged is kept.')
    clock.advance(1000)
    free.bytes = 1000
    await renewSpace(space, made.upload)
  })
})
