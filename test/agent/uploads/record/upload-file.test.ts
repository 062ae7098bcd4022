// upload.json: what is read of it, what is refused, and the order in which an upload is removed.

import { describe, expect, test } from 'bun:test'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createDisk } from '../../../../agent/system/disk.ts'
import { readUploadFile, removeUploadFolder, writeUploadFile } from '../../../../agent/uploads/record/upload-file.ts'
import { createOrderedDisk } from '../../../support/machine/ordered-disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { uploadFile } from './upload-file-of.ts'

const disk = createDisk()

/** Reads an upload.json with this text. */
async function readText(text: string) {
  await using folder = await createTemporaryFolder()
  await mkdir(folder.file('upl_1'))
  await Bun.write(folder.file('upl_1', 'upload.json'), text)
  return await readUploadFile(disk, folder.path, 'upl_1')
}

describe('upload.json', () => {
  test('is read as it was written, and is absent before', async () => {
    await using folder = await createTemporaryFolder()
    const file = uploadFile({ mayBeInstallation: false, linkId: 'lnk_1', publishedAtMs: 5 })
    await mkdir(folder.file(file.id))
    expect(await readUploadFile(disk, folder.path, file.id)).toBeUndefined()
    await writeUploadFile(disk, folder.path, file)
    expect(await readUploadFile(disk, folder.path, file.id)).toEqual(file)
  })

  test('of format 1 has no owner, and may be an installation image', async () => {
    const { creatorTokenId: _token, mayBeInstallation: _may, internal: _internal, ...former } = uploadFile()
    const read = await readText(JSON.stringify({ ...former, format: 1 }))
    expect(read).toEqual(uploadFile({ creatorTokenId: null }))
  })

  test.each([
    ['another format', { format: 3 }],
    ['a length below 0', { length: -1 }],
    ['a length that is not whole', { length: 0.5 }],
    ['another kind', { kind: 'other' }],
  ])('with %s is refused with its path', async (_what, change) => {
    await expect(readText(JSON.stringify({ ...uploadFile(), ...change }))).rejects.toThrow(/upl_1\/upload\.json is not valid/)
  })

  test('is read up to 256 KiB', async () => {
    const text = (length: number): string => JSON.stringify(uploadFile()).padEnd(length)
    expect((await readText(text(262_144)))?.id).toBe(uploadFile().id)
    await expect(readText(text(262_145))).rejects.toThrow()
  })
})

test('an upload is removed with its record first: a folder that is left looks like no upload', async () => {
  await using folder = await createTemporaryFolder()
  const ordered = createOrderedDisk()
  await mkdir(folder.file('upl_1'))
  await Bun.write(join(folder.file('upl_1'), 'upload.json'), '{}')
  await removeUploadFolder(ordered, folder.path, 'upl_1')
  expect(ordered.take()).toEqual(['remove upload.json', 'remove upl_1'])
})
