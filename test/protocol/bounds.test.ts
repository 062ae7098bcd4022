// The bounds of what clients send, as literals: the last value that is accepted, and the first that is refused.

import { expect, test } from 'bun:test'
import type { ZodType } from 'zod'
import { newLinkSchema, newTokenSchema } from '../../protocol/access.ts'
import { grantOrderSchema } from '../../protocol/images/grant.ts'
import { imageCursorSchema, imageFilterSchema } from '../../protocol/images/image-list.ts'
import { imageDraftSchema, imagePatchSchema, uniqueSizeQuerySchema } from '../../protocol/images/image.ts'
import { importRequestSchema } from '../../protocol/images/imports.ts'
import { labelKeySchema } from '../../protocol/images/labels.ts'
import { newMediaGroupSchema } from '../../protocol/images/media-group.ts'
import { usageQuerySchema } from '../../protocol/images/usage.ts'
import { pageQuerySchema } from '../../protocol/page.ts'
import { reconcileRequestSchema } from '../../protocol/reconcile.ts'
import { schedulePatchSchema } from '../../protocol/schedule.ts'
import { disableStoreSchema, storePatchSchema } from '../../protocol/store.ts'
import { newSyncGrantSchema } from '../../protocol/sync/sync-grant.ts'
import { syncHoursSchema, syncLimitsSchema } from '../../protocol/sync/sync-limits.ts'
import { fetchSlicesSchema, protocolSchema, sliceListSchema, syncRequestSchema } from '../../protocol/sync/sync.ts'

const text = (length: number): string => 'x'.repeat(length)
const list = <Item>(count: number, item: Item): Item[] => Array.from({ length: count }, () => item)

const IMAGE = `img_${'0'.repeat(26)}`
const DIGEST = `sha256:${'0'.repeat(64)}`
const FINDING = `fnd_${'0'.repeat(16)}`
const SOURCE = { url: 'https://store.example', token: 'secret' }
const HOURS = { cron: '0 22 * * *', minutes: 60 }
const ofSource = (url: string) => ({ source: { ...SOURCE, url }, images: ['a'] })
const urlOf = (length: number): string => `https://store.example/${text(length - 22)}`

type Row = readonly [what: string, schema: ZodType, make: (value: never) => unknown, accepted: readonly unknown[], refused: readonly unknown[]]

/** A row whose values become a member of the input. */
function member(
  what: string,
  schema: ZodType,
  name: string,
  bounds: { readonly base?: object; readonly ok: readonly unknown[]; readonly no: readonly unknown[] },
): Row {
  return [`${what} ${name}`, schema, (value) => ({ ...bounds.base, [name]: value }), bounds.ok, bounds.no]
}

const TOKEN = { name: 'a', role: 'viewer' }
const ROWS: readonly Row[] = [
  member('token', newTokenSchema, 'ttlSeconds', { base: TOKEN, ok: [60, 315_360_000], no: [59, 315_360_001, 60.5] }),
  member('token', newTokenSchema, 'groups', {
    base: TOKEN,
    ok: [[], list(32, 'g'), list(4, text(255)).concat('abcd')],
    no: [list(33, 'g'), list(4, text(255)).concat('abcde')],
  }),
  member('token', newTokenSchema, 'name', { base: TOKEN, ok: ['a', text(255)], no: ['', ' ', text(256), 'a\u0000'] }),
  member('upload link', newLinkSchema, 'ttlSeconds', { base: { kind: 'upload' }, ok: [1, 604_800], no: [0, 604_801] }),
  member('upload link', newLinkSchema, 'maxLength', { base: { kind: 'upload' }, ok: [1], no: [0, 1.5] }),
  member('download link', newLinkSchema, 'ttlSeconds', { base: { kind: 'download', image: 'a' }, ok: [1, 604_800], no: [0, 604_801] }),
  member('upload link', newLinkSchema, 'origin', {
    base: { kind: 'upload' },
    ok: ['https://a', `https://${text(262)}`, 'http://[::1]:80'],
    no: [`https://${text(263)}`, 'https://a/', 'ftp://a', 'https://a:123456'],
  }),
  member('grant', grantOrderSchema, 'set', { ok: [['read']], no: [[], list(20, 'read')] }),
  member('image', imageDraftSchema, 'name', { base: { name: 'a' }, ok: ['a', text(255)], no: ['', text(256), 'a\u2028b'] }),
  member('image', imageDraftSchema, 'description', { base: { name: 'a' }, ok: [text(4096)], no: [text(4097)] }),
  member('image', imageDraftSchema, 'owner', { base: { name: 'a' }, ok: [text(255)], no: [text(256)] }),
  member('image', imageDraftSchema, 'mediaGroup', { base: { name: 'a' }, ok: [text(255)], no: [text(256)] }),
  member('image', imageDraftSchema, 'os', { base: { name: 'a' }, ok: [text(255)], no: [text(256)] }),
  member('requirements', imagePatchSchema, 'requirements', {
    ok: [{ cpus: 1, memory: 0, disk: 0 }],
    no: [{ cpus: 0 }, { memory: -1 }, { disk: -1 }, { cpus: 1.5 }],
  }),
  member('change of an image', imagePatchSchema, 'description', { ok: [text(4096)], no: [text(4097)] }),
  member('change of an image', imagePatchSchema, 'owner', { ok: [null, text(255)], no: [text(256)] }),
  member('change of an image', imagePatchSchema, 'mediaGroup', { ok: [null, text(255)], no: [text(256)] }),
  member('change of an image', imagePatchSchema, 'os', { ok: [null, text(255)], no: [text(256)] }),
  member('unique size', uniqueSizeQuerySchema, 'images', { ok: [['a'], list(100, text(255))], no: [[], list(101, 'a'), [text(256)], ['']] }),
  ['label', labelKeySchema, (value) => value, ['a', text(63)], ['', text(64)]],
  member('media group', newMediaGroupSchema, 'description', { base: { name: 'a' }, ok: ['', text(4096)], no: [text(4097)] }),
  member('filter', imageFilterSchema, 'search', { ok: ['a', text(255)], no: ['', text(256)] }),
  member('filter', imageFilterSchema, 'owner', { ok: ['', text(255)], no: [text(256)] }),
  member('filter', imageFilterSchema, 'cpus', { ok: ['1'], no: ['0', '1.5'] }),
  member('filter', imageFilterSchema, 'memory', { ok: ['0'], no: ['-1'] }),
  member('filter', imageFilterSchema, 'label', { ok: ['a', 'a=b,c', `a=${text(20_478)}`], no: ['', `a=${text(20_479)}`] }),
  [
    'cursor of images',
    imageCursorSchema,
    (value) => value,
    [`1-${IMAGE}`, `${'1'.repeat(15)}-${IMAGE}`, `${text(4000)}.-${IMAGE}`],
    [`-${IMAGE}`, `${'1'.repeat(16)}-${IMAGE}`, `${text(3)}.-${IMAGE}`, `${text(4001)}.-${IMAGE}`],
  ],
  member('page', pageQuerySchema, 'limit', { ok: ['1', '1000'], no: ['0', '1001', '1.5'] }),
  member('page', pageQuerySchema, 'cursor', { ok: ['', text(512)], no: [text(513)] }),
  member('usage', usageQuerySchema, 'limit', { ok: ['1', '1000'], no: ['0', '1001'] }),
  member('usage', usageQuerySchema, 'cursor', { ok: [text(512)], no: [text(513)] }),
  member('usage', usageQuerySchema, 'owner', { ok: ['', text(255)], no: [text(256)] }),
  ['import path', importRequestSchema, (path) => ({ source: { path }, name: 'a' }), ['a', '/a', `/${text(4095)}`], ['', `/${text(4096)}`]],
  ['import address', importRequestSchema, (url) => ({ source: { url }, name: 'a' }), [`https://a/${text(4086)}`], [`https://a/${text(4087)}`]],
  member('reconcile', reconcileRequestSchema, 'apply', { ok: [[], list(500, FINDING)], no: [list(501, FINDING), ['fnd_0']] }),
  member('reconcile', reconcileRequestSchema, 'instances', { ok: [[], [text(255)], list(20_000, 'a')], no: [list(20_001, 'a'), [''], [text(256)]] }),
  member('schedule', schedulePatchSchema, 'cron', { ok: ['* * * * *', text(120)], no: ['* * * * ', text(121)] }),
  member('store', storePatchSchema, 'description', { ok: ['', text(4096)], no: [text(4097)] }),
  member('store', storePatchSchema, 'reserved', { ok: [null, 0, 1e15], no: [-1, 1e15 + 1] }),
  member('store', storePatchSchema, 'retention', { ok: [{ seconds: 0 }, { seconds: 315_360_000 }], no: [{ seconds: -1 }, { seconds: 315_360_001 }] }),
  member('store', storePatchSchema, 'sync', {
    ok: [{ bytesPerSecond: 0 }, { bytesPerSecond: 65_536 }, { bytesPerSecond: 1e12 }, { hours: [] }, { hours: list(16, HOURS) }],
    no: [{ bytesPerSecond: 1 }, { bytesPerSecond: 65_535 }, { bytesPerSecond: 1e12 + 1 }, { hours: list(17, HOURS) }],
  }),
  member('disabled store', disableStoreSchema, 'reason', { ok: ['', text(500)], no: [text(501)] }),
  member('hours', syncHoursSchema, 'minutes', { base: HOURS, ok: [1, 10_080], no: [0, 10_081] }),
  member('hours', syncHoursSchema, 'cron', { base: HOURS, ok: ['* * * * *', text(120)], no: ['* * * * ', text(121)] }),
  member('limits', syncLimitsSchema, 'hours', { ok: [[HOURS], list(16, HOURS)], no: [[], list(17, HOURS)] }),
  member('limits', syncLimitsSchema, 'bytesPerSecond', { ok: [65_536, 1e12], no: [0, 65_535, 1e12 + 1] }),
  member('versions', protocolSchema, 'sync', { ok: [[1], list(64, 1)], no: [[], list(65, 1), [0]] }),
  member('versions', protocolSchema, 'key', { base: { sync: [1] }, ok: [text(256)], no: [text(257)] }),
  member('sync', syncRequestSchema, 'images', {
    base: { source: SOURCE },
    ok: [['a'], list(1000, 'a'), [text(255)]],
    no: [[], list(1001, 'a'), [''], [text(256)]],
  }),
  member('sync', syncRequestSchema, 'sources', {
    base: { images: ['a'] },
    ok: [1, 8].map((count) => Array.from({ length: count }, (_, i) => ({ ...SOURCE, url: `https://store-${i}.example` }))),
    no: [[], Array.from({ length: 9 }, (_, i) => ({ ...SOURCE, url: `https://store-${i}.example` })), [SOURCE, SOURCE]],
  }),
  ['address of a source', syncRequestSchema, (url: string) => ofSource(url), [urlOf(2048)], [urlOf(2049)]],
  ['token of a source', syncRequestSchema, (token: string) => ({ source: { ...SOURCE, token }, images: ['a'] }), ['a', text(512)], ['', text(513), 'a b']],
  member('slices', sliceListSchema, 'digests', { ok: [[], list(4096, DIGEST)], no: [list(4097, DIGEST), [DIGEST.slice(0, -1)]] }),
  member('slices', fetchSlicesSchema, 'image', { base: { digests: [] }, ok: ['a', text(64)], no: ['', text(65)] }),
  member('grant between stores', newSyncGrantSchema, 'images', {
    base: { hours: 1 },
    ok: [[IMAGE], list(1000, IMAGE)],
    no: [[], list(1001, IMAGE), ['img_1']],
  }),
  member('grant between stores', newSyncGrantSchema, 'hours', { base: { images: [IMAGE] }, ok: [1, 168], no: [0, 169] }),
]

test.each(ROWS)('%s', (_what, schema, make, accepted, refused) => {
  for (const value of accepted) expect([value, schema.safeParse(make(value as never)).success]).toEqual([value, true])
  for (const value of refused) expect([value, schema.safeParse(make(value as never)).success]).toEqual([value, false])
})
