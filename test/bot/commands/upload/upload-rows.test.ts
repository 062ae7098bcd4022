// Uploads in lists and alone: how far they are, who sees them, and which one a text means.

import { expect, setDefaultTimeout, test } from 'bun:test'
import { oneUpload, uploadRow, uploadView } from '../../../../bot/commands/upload/upload-rows.ts'
import type { Role } from '../../../../protocol/access.ts'
import type { Upload } from '../../../../protocol/upload.ts'
import { uploadSchema } from '../../../../protocol/upload.ts'
import { imageOf, openScriptedFleet, page } from '../scripted-fleet.ts'
import type { Asked, ScriptedFleet } from '../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const idOf = (n: number): string => `upl_${String(n).padStart(26, '0')}`
const uploadOf = (n: number, members: Partial<Upload> = {}): Upload =>
  uploadSchema.parse({
    ...{ id: idOf(n), kind: 'whole', state: 'uploading', stateReason: 'Bytes arrive.', offset: 250_000, length: 1_000_000, rate: 50_000, etaSeconds: 15 },
    ...{ name: `disk-${n}`, imageId: imageOf(n).id, owner: 'ann', creator: 'bot', device: 'laptop', filename: 'in.raw' },
    ...{ createdAt: '2026-01-01T00:00:00.000Z', activeAt: '2026-01-01T00:01:00.000Z', expiresAt: '2026-01-03T00:00:00.000Z', ...members },
  })

function open(uploads: readonly Upload[], seen: readonly number[] = []): ScriptedFleet {
  return openScriptedFleet({
    'edge-a': {
      'GET /uploads': ({ query }: Asked) => page(uploads.filter(({ state }) => (query['state'] ?? state) === state)),
      'GET /images': ({ query }: Asked) => page(query['status'] === undefined ? seen.map((n) => imageOf(n)) : []),
    },
  })
}

const storeOf = (it: ScriptedFleet) => {
  const [store] = it.bot.fleet.registry.list()
  if (!store) throw new Error('no store')
  return store
}

test.each<[Partial<Upload>, Readonly<Record<string, string>>]>([
  [
    {},
    {
      name: 'disk-1',
      state: 'Uploading',
      progress: '250 kB of 1.0 MB (25 %)',
      rate: '50 kB/s, 15 s left',
      device: 'laptop',
      expires: '2026-01-03 00:00:00 UTC',
    },
  ],
  [
    { state: 'pending', rate: 0, etaSeconds: null },
    { state: 'Pending', rate: '–' },
  ],
  [{ etaSeconds: null }, { rate: '50 kB/s' }],
  [{ length: null }, { progress: '250 kB' }],
  [{ length: 0, offset: 0 }, { progress: '0 B of 0 B (100 %)' }],
  [{ offset: 999_999 }, { progress: '1.0 MB of 1.0 MB (99 %)' }],
  [{ name: null }, { name: idOf(1) }],
  [{ name: null, kind: 'partial' }, { name: `part ${idOf(1)}` }],
  [
    { device: null, expiresAt: null },
    { device: '–', expires: 'never' },
  ],
])('an upload with %j has the cells %j', (members, cells) => {
  using it = open([])
  expect(uploadRow({ store: storeOf(it), upload: uploadOf(1, members) }).cells).toMatchObject(cells)
})

test('a row is good while bytes arrive', () => {
  using it = open([])
  const tone = (state: Upload['state']) => uploadRow({ store: storeOf(it), upload: uploadOf(1, { state }) }).tone
  expect([tone('uploading'), tone('pending')]).toEqual(['good', 'plain'])
})

test('the page of an upload leaves out what is not known, and cancels it', () => {
  using it = open([])
  const labels = (members: Partial<Upload>): string[] =>
    uploadView('Upload', { store: storeOf(it), upload: uploadOf(1, members) }, 0).fields.map(({ label }) => label)
  expect(labels({}).filter((label) => ['Device', 'File', 'Owner'].includes(label))).toEqual(['Device', 'File', 'Owner'])
  expect(labels({ device: null, filename: null, owner: null }).filter((label) => ['Device', 'File', 'Owner'].includes(label))).toEqual([])
  const view = uploadView('Upload', { store: storeOf(it), upload: uploadOf(1, { imageId: null, expiresAt: null }) }, 0)
  expect(view.fields.find(({ label }) => label === 'Image')?.value).toBe('none: a part of a concatenation')
  expect(view.fields.at(-1)?.value).toBe('never')
  expect(view.actions.map(({ command, role, style }) => [command, role, style])).toEqual([[`upload cancel ${idOf(1)} store=edge-a`, 'operator', 'danger']])
})

test('an upload is found by its name, the id of its image, or a part of its id', async () => {
  using it = open([uploadOf(1, { name: 'disk' }), uploadOf(2, { name: '0001' }), uploadOf(3), uploadOf(4, { name: 'disk-3' })])
  const context = it.bot.context({ name: 'ann', role: 'admin' }, 'console')
  const find = async (text: string): Promise<string> => (await oneUpload(context, text, undefined)).upload.id
  expect([await find('disk'), await find('0001'), await find(imageOf(3).id), await find('0003')]).toEqual([1, 2, 3, 3].map(idOf))
  expect(find('disk-3')).rejects.toThrow('2 uploads match "disk-3".')
  expect(find('none')).rejects.toThrow('No upload "none" is in progress.')
})

test('people below operator see the uploads of images that they see, and no part of a concatenation', async () => {
  const uploads = [uploadOf(1), uploadOf(2), uploadOf(3, { imageId: null, kind: 'partial', name: null })]
  for (const [role, count] of [
    ['operator', 3],
    ['uploader', 1],
  ] satisfies [Role, number][]) {
    using it = open(uploads, [2])
    const { rows, text } = await it.run('upload list', { role })
    expect([rows.length, text]).toEqual([count, count === 1 ? '1 upload' : '3 uploads'])
  }
})

test('uploads are listed newest first, of one state on request, and the first thousand of a store', async () => {
  using it = open([uploadOf(1), uploadOf(2, { createdAt: '2026-01-02T00:00:00.000Z', state: 'pending' })])
  expect((await it.run('upload list')).rows.map(({ cells }) => cells['name'])).toEqual(['disk-2', 'disk-1'])
  expect((await it.run('upload list state=pending')).rows.map(({ cells }) => cells['name'])).toEqual(['disk-2'])
  expect((await it.run('upload list state=done')).text).toContain('state=done')
  for (const [count, notes] of [
    [999, []],
    [1000, ['Only the first 1000 uploads of edge-a are shown.']],
  ] as const) {
    using many = open(Array.from({ length: count }, (_, n) => uploadOf(n)))
    expect((await many.run('upload list')).notes).toEqual([...notes])
    expect(many.sent.find((request) => request.includes('/uploads'))).toContain('limit=1000')
  }
})
