// What follows from the file and the journal of an upload: who may use it, when it expires, and what its client sees. Times and roles are literals.

import { describe, expect, test } from 'bun:test'
import type { Actor } from '../../../../agent/contract/access.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { lengthWith } from '../../../../agent/uploads/declare-length.ts'
import { packEntries } from '../../../../agent/uploads/record/journal-codec.ts'
import { Journal } from '../../../../agent/uploads/record/journal.ts'
import type { UploadFile } from '../../../../agent/uploads/record/upload-file.ts'
import {
  creatorTokenId,
  expiresAtMs,
  isWhole,
  mayCancel,
  mayTouch,
  newImageOf,
  noSuchUpload,
  offsetHeader,
  offsetOf,
  renewedEndMs,
  viewOf,
} from '../../../../agent/uploads/record/upload.ts'
import type { Upload } from '../../../../agent/uploads/record/upload.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { uploadFile } from './upload-file-of.ts'

const disk = createDisk()

/** An upload whose journal has an append for each time; those named in `quiet` bring no bytes, the others ten each. */
async function openUpload(changes: Partial<UploadFile>, timesMs: readonly number[] = [], quiet: readonly number[] = []) {
  const folder = await createTemporaryFolder()
  const journal = Journal.empty({ disk, random: (length) => new Uint8Array(length) }, folder.file('journal'))
  const NOTHING = packEntries([])
  for (const timeMs of timesMs)
    await journal.append({ entries: quiet.includes(timeMs) ? NOTHING : packEntries([{ length: 10, digest: null }]), tail: new Uint8Array(0), timeMs })
  const upload: Upload = { file: uploadFile(changes), journal }
  return {
    upload,
    async [Symbol.asyncDispose]() {
      await journal.close()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('an upload', () => {
  test.each<[length: number | null, publishedAtMs: number | null, offset: number, whole: boolean]>([
    [20, null, 20, true],
    [21, null, 20, false],
    [19, null, 20, false],
    [null, null, 20, false],
    // An image has all bytes, and its upload no journal.
    [500, 1, 500, true],
    [null, 1, 0, false],
  ])('of %p bytes, published at %p, has %i bytes; whole: %p', async (length, publishedAtMs, offset, whole) => {
    await using opened = await openUpload({ length, publishedAtMs }, [5, 6])
    expect([offsetOf(opened.upload), isWhole(opened.upload), offsetHeader(opened.upload)]).toEqual([offset, whole, { 'Upload-Offset': String(offset) }])
  })

  test.each<[createdAtMs: number, timesMs: number[], quiet: number[], endMs: number]>([
    [1000, [], [], 1100],
    [1000, [1050], [], 1150],
    // A request without bytes renews it, up to seven periods after the last byte.
    [1000, [1050, 1200], [1200], 1300],
    [1000, [1050, 1649], [1649], 1749],
    [1000, [1050, 1651], [1651], 1750],
    [1000, [1650], [1650], 1700],
    // A clock that was set back takes nothing away.
    [1000, [500], [], 1100],
  ])('that was created at %i, with requests at %j, expires a period of 100 ms after its last request', async (createdAtMs, timesMs, quiet, endMs) => {
    await using opened = await openUpload({ createdAtMs, length: 1000 }, timesMs, quiet)
    expect(expiresAtMs(opened.upload, 100)).toBe(endMs)
  })

  test('that would be asked for now would expire a period later; one that is an image never expires', async () => {
    await using opened = await openUpload({ createdAtMs: 1000, length: 1000 }, [1050])
    expect([renewedEndMs(opened.upload, 100, 1300), renewedEndMs(opened.upload, 100, 5000)]).toEqual([1400, 1750])
    expect(expiresAtMs({ ...opened.upload, file: { ...opened.upload.file, publishedAtMs: 1 } }, 100)).toBeNull()
  })

  test('is shown to its client with its image once that is published', async () => {
    const told = { id: 'upl_1', length: 40, metadata: 'name eA==', concat: 'partial', imageId: 'img_1', createdAtMs: 1000 }
    await using opened = await openUpload(told, [1050, 1060])
    const { upload } = opened
    expect(viewOf(upload, 100)).toEqual({
      ...{ id: 'upl_1', offset: 20, length: 40, metadata: 'name eA==', concat: 'partial' },
      ...{ expiresAtMs: 1160, imageId: null },
    })
    expect(viewOf({ ...upload, file: { ...upload.file, publishedAtMs: 1 } }, 100)).toMatchObject({ offset: 40, expiresAtMs: null, imageId: 'img_1' })
  })

  test('becomes an image with its source; a part becomes none', () => {
    const draft = { name: 'web', description: '' }
    const file = uploadFile({ id: 'upl_1', imageId: 'img_1', draft, filename: 'web.img', device: 'laptop', mayBeInstallation: false })
    const source = { kind: 'upload', url: null, filename: 'web.img', device: 'laptop', uploadId: 'upl_1', storeId: null } as const
    expect(newImageOf(file)).toEqual({ id: 'img_1', draft, source, mayBeInstallation: false })
    const from = { kind: 'url', url: 'http://x/', filename: null, device: null } as const
    const fetched = newImageOf({ ...file, internal: { taskId: 'tsk_1', source: from, validator: null } })
    expect(fetched?.source).toEqual({ ...from, uploadId: 'upl_1', storeId: null })
    expect([newImageOf({ ...file, imageId: null }), newImageOf({ ...file, draft: null })]).toEqual([undefined, undefined])
  })

  test('that does not exist is named as it was asked for', () => {
    expect([noSuchUpload('a"b').code, noSuchUpload('a"b').problem.detail]).toEqual(['not-found', 'There is no upload "a\\"b".'])
  })
})

describe('who may use and who may cancel an upload of the token tok_1 by the link lnk_1', () => {
  const file = uploadFile({ creatorTokenId: 'tok_1', linkId: 'lnk_1' })
  const link = (id: string, kind: 'upload' | 'download'): Partial<Actor> => ({ link: { id, kind, makerTokenId: 'tok_1', maker: { role: 'admin' }, endMs: 1 } })
  test.each<[who: Partial<Actor>, touches: boolean, cancels: boolean]>([
    [{ role: 'viewer', tokenId: 'tok_2' }, false, false],
    [{ role: 'uploader', tokenId: 'tok_2' }, false, false],
    [{ role: 'operator', tokenId: 'tok_2' }, true, false],
    [{ role: 'admin', tokenId: 'tok_2' }, true, true],
    [{ role: 'uploader', tokenId: 'tok_1' }, true, true],
    [{ role: 'viewer', tokenId: 'tok_1' }, true, true],
    [{ role: 'viewer', ...link('lnk_1', 'upload') }, true, true],
    [{ role: 'viewer', ...link('lnk_2', 'upload') }, false, false],
    [{ role: 'viewer', ...link('lnk_1', 'download') }, false, false],
    // A link gives no more than itself, whoever made it.
    [{ role: 'admin', tokenId: 'tok_1', ...link('lnk_2', 'upload') }, false, false],
  ])('%j: %p, %p', (who, touches, cancels) => {
    const actor: Actor = { name: 'a', role: 'viewer', ...who }
    expect([mayTouch(actor, file), mayCancel(actor, file)]).toEqual([touches, cancels])
  })

  test('an upload belongs to the token, also of the link that was used; nobody else can create one', () => {
    expect(creatorTokenId({ name: 'a', role: 'viewer', tokenId: 'tok_1' })).toBe('tok_1')
    expect(creatorTokenId({ name: 'a', role: 'viewer', ...link('lnk_1', 'upload') })).toBe('tok_1')
    expect(() => creatorTokenId({ name: 'ann', role: 'viewer' })).toThrow('the actor ann came neither with a token nor by a link')
    // Uploads of format 1 belong to no token.
    expect(mayTouch({ name: 'a', role: 'viewer', tokenId: 'tok_1' }, uploadFile({ creatorTokenId: null }))).toBe(false)
  })
})

describe('the length of an upload that a body declares', () => {
  test.each<[body: { length?: number; declaredLength?: number; isLast?: boolean }, length: number | undefined]>([
    [{}, undefined],
    [{ length: 5 }, undefined],
    [{ length: 5, isLast: false }, undefined],
    [{ length: 5, isLast: true }, 15],
    [{ isLast: true }, undefined],
    [{ declaredLength: 15 }, 15],
    [{ declaredLength: 15, isLast: true }, 15],
    [{ declaredLength: 15, length: 5, isLast: true }, 15],
    [{ declaredLength: 99, length: 5, isLast: false }, 99],
    [{ declaredLength: 0, length: 5 }, 0],
  ])('%j from byte 10 on: %p', (body, length) => {
    expect(lengthWith({ stream: null, ...body } as never, 10)).toBe(length as never)
  })

  test.each([14, 16])('is refused as %i bytes if the body ends at byte 15', (declaredLength) => {
    expect(() => lengthWith({ stream: null, length: 5, declaredLength, isLast: true } as never, 10)).toThrow(
      `Upload-Length is ${declaredLength}, but the upload would end at byte 15.`,
    )
  })
})
