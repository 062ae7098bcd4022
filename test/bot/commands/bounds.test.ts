// The bounds of what commands take and show, as literals: the last value that is taken or shown, and the first that is not.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { grantRow } from '../../../bot/commands/grant/grant-rows.ts'
import type { StoreRecord } from '../../../bot/fleet/registry.ts'
import { tokenSchema } from '../../../protocol/access.ts'
import { imageOf, openScriptedFleet, page } from './scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const EMPTY = { 'GET /images': page([]), 'GET /tasks': page([]) }

describe('a time', () => {
  test.each([
    ['store maintenance edge-a for=1m', 'done'],
    ['store maintenance edge-a for=59s', 'failed'],
    ['store maintenance edge-a for=31d', 'done'],
    ['store maintenance edge-a for=2678401s', 'failed'],
    ['store maintenance edge-a until=2026-02-01T00:00:00Z', 'done'],
    ['store maintenance edge-a until=2026-02-01T00:00:01Z', 'failed'],
    ['policy add p keep=1 grace=30d', 'done'],
    ['policy add p keep=1 grace=2592001s', 'failed'],
    ['alert subscribe channel=C024BE91L remind=1m', 'done'],
    ['alert subscribe channel=C024BE91L remind=59s', 'failed'],
    ['alert subscribe channel=C024BE91L remind=7d', 'done'],
    ['alert subscribe channel=C024BE91L remind=604801s', 'failed'],
  ] as const)('as in "%s" ends as %s', async (line, outcome) => {
    using it = openScriptedFleet({ 'edge-a': EMPTY })
    expect((await it.run(line)).outcome).toBe(outcome)
  })
})

describe('the name of a store', () => {
  test('may be four characters of its id, and no fewer', async () => {
    using it = openScriptedFleet({ 'edge-a': EMPTY, 'edge-b': EMPTY })
    const { registry } = it.bot.fleet
    const record = registry.find('edge-a')
    if (!record) throw new Error('there is no edge-a')
    registry.remove('edge-a')
    registry.add({ ...record, storeId: 'abcd1111-2222-4333-8444-555555555555' }, 0)
    expect((await it.run('store show abcd')).title).toContain('edge-a')
    expect(await it.run('store show abc')).toMatchObject({ outcome: 'failed', text: 'No store is called "abc".' })
  })

  test.each([
    [20, /: store-10, .*, store-28, store-29\.$/],
    [21, /: store-10, .*, store-28, store-29 and 1 more\.$/],
  ])('is asked for among %i stores, of which twenty are named', async (count, sentence) => {
    using it = openScriptedFleet(Object.fromEntries(Array.from({ length: count }, (_unused, i) => [`store-${10 + i}`, EMPTY])))
    const { text } = await it.run('store cleanup')
    expect(text).toMatch(sentence)
    expect(text).toStartWith(`There are ${count} stores: `)
  })
})

describe('a list', () => {
  test('of tasks asks each store for a hundred', async () => {
    using it = openScriptedFleet({ 'edge-a': EMPTY })
    await it.run('task list')
    expect(it.sent).toContain('edge-a GET /tasks?limit=100')
  })

  test.each([
    [999, 999, []],
    [1000, 1000, ['Only the first 1000 media groups of edge-a are shown.']],
    [1001, 1000, ['Only the first 1000 media groups of edge-a are shown.']],
  ])('of %i media groups of a store shows %i', async (count, shown, notes) => {
    const groups = Array.from({ length: count }, (_unused, i) => ({ name: `g${i}`, description: '', visible: true, images: 0 }))
    using it = openScriptedFleet({ 'edge-a': { ...EMPTY, 'GET /media-groups': page(groups) } })
    const view = await it.run('media-group list')
    expect([view.rows.length, view.notes]).toEqual([shown, notes])
  })

  test.each([
    [4999, 4999, 0],
    [5001, 5000, 1],
  ])('of %i images of a store shows %i', async (count, shown, notes) => {
    const images = Array.from({ length: count }, (_unused, i) => imageOf(i))
    using it = openScriptedFleet({ 'edge-a': { ...EMPTY, 'GET /images': page(images) } })
    const view = await it.run('image list')
    expect([view.rows.length, view.notes.filter((note) => note.startsWith('Only the first 5000 images of edge-a are shown.')).length]).toEqual([shown, notes])
  })

  test('of the recycle bin has a button for the first eight images', async () => {
    const images = Array.from({ length: 9 }, (_unused, i) =>
      imageOf(i, { status: 'deleted', deletedAt: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-04T00:00:00.000Z' }),
    )
    using it = openScriptedFleet({ 'edge-a': { ...EMPTY, 'GET /images': page(images) } })
    const view = await it.run('image bin')
    expect([view.rows.length, view.actions.length]).toEqual([9, 8])
  })
})

test.each([
  [1, 'img_1'],
  [2, 'img_1, img_2'],
  [3, '3 images'],
])('a grant for %i images names at most two', (count, words) => {
  const images = Array.from({ length: count }, (_unused, i) => `img_${i + 1}`)
  const token = tokenSchema.parse({
    ...{ id: 'tok_1', name: 'sync', role: 'viewer', createdAt: '2026-01-01T00:00:00.000Z', expiresAt: null, lastUsedAt: null },
    grant: { images, target: null, createdBy: 'ann' },
  })
  expect(grantRow({ store: { name: 'edge-a' } as StoreRecord, token }, []).cells).toMatchObject({
    source: 'edge-a',
    target: 'any store',
    images: words,
    by: 'ann',
  })
})
