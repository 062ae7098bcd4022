// What the page of one image says, and what its buttons do.

import { describe, expect, test } from 'bun:test'
import { imageRow, imageView, restoreAction, statusAdvice } from '../../../../../bot/commands/image/list/image-rows.ts'
import type { FoundImage } from '../../../../../bot/commands/image/find.ts'
import type { Image } from '../../../../../protocol/images/image.ts'
import { imageOf, openScriptedFleet } from '../../scripted-fleet.ts'

const ID = imageOf(1).id
const NOW_MS = Date.UTC(2026, 0, 2)
const UNREADABLE = { store: 'edge-a', sinceMs: null, finding: 'mount-path: gone', impact: 'No image can be read.', action: 'Mount it.', isUnreadable: true }

function found(members: Partial<Image> = {}, more: Partial<FoundImage> = {}): FoundImage {
  using it = openScriptedFleet({ 'edge-a': {} })
  const [store] = it.bot.fleet.registry.list()
  if (!store) throw new Error('no store')
  return { store, image: imageOf(1, { name: 'disk', ...members }), ...more }
}

/** The fields of an image that these members change, by label; undefined for one that it has not. */
function fields(members: Partial<Image>, labels: readonly string[], more: Partial<FoundImage> = {}): (string | undefined)[] {
  const view = imageView('Image disk', found(members, more), NOW_MS)
  return labels.map((label) => view.fields.find((field) => field.label === label)?.value)
}

test.each<[Partial<Image>, string, string | undefined]>([
  [{ format: null }, 'Format', '–'],
  [{ uniqueSize: 1000 }, 'Purging frees', '1.0 kB'],
  [{ uniqueSize: 0 }, 'Purging frees', '0 B'],
  [{ uniqueSize: null }, 'Purging frees', undefined],
  [{ digest: null }, 'SHA-256', 'being computed in the background'],
  [{ manifestDigest: null }, 'Manifest', '–'],
  [{ description: '' }, 'Description', undefined],
  [{ description: 'Base' }, 'Description', 'Base'],
  [{ os: null }, 'OS', undefined],
  [{ os: 'plan9' }, 'OS', 'plan9'],
  [{ cloudInit: true }, 'cloud-init', 'yes'],
  [{ cloudInit: false }, 'cloud-init', 'no'],
  [{ cloudInit: null }, 'cloud-init', undefined],
  [{ requirements: null }, 'Needs', undefined],
  [{ requirements: { cpus: 1, memory: 4e9, disk: 2e10 } }, 'Needs', '1 CPU, 4.0 GB of memory, 20 GB of disk'],
  [{ requirements: { cpus: null, memory: null, disk: 2e10 } }, 'Needs', '20 GB of disk'],
  [{ mediaGroup: null }, 'Media group', undefined],
  [{ mediaGroup: 'lab', hidden: true }, 'Media group', 'lab (hidden)'],
  [{ mediaGroup: 'lab' }, 'Media group', 'lab'],
  [{ labels: {} }, 'Labels', undefined],
  [{ labels: { env: 'test', team: '' } }, 'Labels', 'env=test, team'],
  [{ sourceInstance: 'vm-1' }, 'Made from instance', 'vm-1'],
  [{ source: { kind: 'upload', uploadId: null, storeId: null, url: null, filename: 'a.raw', device: 'laptop' } }, 'Source', 'upload of a.raw from laptop'],
  [{ source: { kind: 'url', uploadId: null, storeId: null, url: 'http://x/a', filename: 'a', device: null } }, 'Source', 'url of http://x/a'],
  [{ source: { kind: 'sync', uploadId: null, storeId: null, url: null, filename: null, device: null } }, 'Source', 'sync'],
  [{ owner: null }, 'Owner', '–'],
  [{ protected: true }, 'Protected', 'yes'],
  [{ protected: false }, 'Protected', 'no'],
  [{ grants: [], hidden: true }, 'Access', 'only its owner and operators, because its media group is hidden'],
  [{ grants: [], hidden: false }, 'Access', 'every viewer'],
  [{ grants: [{ subject: 'user:bob', rights: ['read', 'use'] }], hidden: true }, 'Access', 'user:bob (read, use)'],
  [{ bindings: [] }, 'In use by', 'nothing'],
  [{ bindings: ['vm-1', 'vm-2'] }, 'In use by', 'vm-1, vm-2'],
  [{ availableAt: null }, 'Published', undefined],
  [{ availableAt: '2026-01-01T00:00:00.000Z' }, 'Published', '2026-01-01 00:00:00 UTC'],
  [{ deletedAt: null }, 'Deleted', undefined],
  [{ deletedAt: '2026-01-01T00:00:00.000Z', expiresAt: null }, 'Deleted', '2026-01-01 00:00:00 UTC, kept forever'],
  [
    { deletedAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-04T00:00:00.000Z' },
    'Deleted',
    '2026-01-01 00:00:00 UTC, deleted for good 2026-01-04 00:00:00 UTC',
  ],
])('of %j the field %s is %p', (members, label, value) => {
  expect(fields(members, [label])).toEqual([value])
})

describe('an image in a store that is in error', () => {
  const gone: Partial<Image> = { status: 'fileUnavailable', statusReason: 'The file is gone.' }

  test('has the reason of the store when nothing there can be read, and its own otherwise', () => {
    expect(fields(gone, ['Reason', 'edge-a'])).toEqual(['The file is gone.', undefined])
    expect(fields(gone, ['Reason', 'edge-a'], { storeFailure: UNREADABLE })).toEqual([undefined, 'Error: mount-path: gone. No image can be read. Mount it.'])
    expect(fields(gone, ['Reason'], { storeFailure: { ...UNREADABLE, isUnreadable: false } })).toEqual(['The file is gone.'])
  })

  test('says so in its row', () => {
    expect(imageRow(found({}, { storeFailure: UNREADABLE })).cells['store']).toBe('edge-a (Error)')
    expect(imageRow(found()).cells['store']).toBe('edge-a')
  })
})

test.each<[Image['status'], string | undefined]>([
  ['available', undefined],
  ['degraded', `image sync ${ID} to=edge-a`],
  ['error', 'Upload it again'],
  ['creating', 'task list store=edge-a'],
  ['uploading', 'upload list store=edge-a'],
  ['pending', 'upload list store=edge-a'],
  ['deleted', `image restore ${ID}`],
  ['deleting', 'store cleanup edge-a'],
  ['fileUnavailable', 'store health edge-a'],
])('the next step of an image that is %s begins with %p', (status, start) => {
  const advice = statusAdvice(found({ status }))
  if (start === undefined) expect(advice).toBeUndefined()
  else expect(advice).toStartWith(start)
})

test.each<[Image['status'], FoundImage['retention'], string, string, string]>([
  ['deleted', undefined, 'Restore', `image restore ${ID} store=edge-a`, 'primary'],
  ['uploading', undefined, 'Cancel upload', `image delete ${ID} store=edge-a`, 'danger'],
  ['pending', undefined, 'Cancel upload', `image delete ${ID} store=edge-a`, 'danger'],
])('the button of an image that is %s (%p) is %s', (status, retention, label, command, style) => {
  const { actions } = imageView('Image disk', found({ status }, { retention }), NOW_MS)
  expect(actions.map((action) => [action.label, action.command, action.role, action.style])).toEqual([[label, command, 'operator', style]])
})

test('the button of an image that can be deleted says what that does in its store', () => {
  const label = (retention: FoundImage['retention']): string | undefined => imageView('x', found({}, { retention }), NOW_MS).actions[0]?.label
  expect(label({ deletion: 'immediate', seconds: 0 })).not.toBe(label({ deletion: 'delayed', seconds: 60 }))
  expect(restoreAction(found())).toEqual({ label: 'Restore disk', command: `image restore ${ID} store=edge-a`, role: 'operator' })
})
