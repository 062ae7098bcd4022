// The catalogue in the bot's database: bounds, and what happens to the images of stores that are renamed, removed and added again.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { OpenBot } from '../../../../bot/open.ts'
import { openBot } from '../../../../bot/open.ts'
import { IMAGES_MAX, REMOVED_MS_MAX, REMOVED_STORES_MAX, STORE_IMAGES_MAX } from '../../../../bot/fleet/catalogue/catalogue.ts'
import type { Catalogue, HeldStore } from '../../../../bot/fleet/catalogue/catalogue.ts'
import { heldOf } from '../../../../bot/fleet/catalogue/held-image.ts'
import type { HeldImage } from '../../../../bot/fleet/catalogue/held-image.ts'
import { openMemoryDatabase } from '../../../../bot/system/database.ts'
import { systemClock } from '../../../../bot/system/clock.ts'
import { imageOf } from '../../commands/scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const UUID = '11111111-2222-4333-8444-555555555555'
const held = (number: number, members: Parameters<typeof imageOf>[1] = {}): HeldImage => heldOf(imageOf(number, members), 5)
const ALL = { isBin: false, isAll: true, limit: 100_000 }

function open(...stores: readonly (readonly [name: string, storeId: string | null])[]): OpenBot & { readonly catalogue: Catalogue } {
  const bot = openBot('', { clock: systemClock, database: openMemoryDatabase() })
  for (const [name, storeId] of stores) add(bot, name, storeId)
  return bot
}

const add = (bot: OpenBot, name: string, storeId: string | null): void =>
  void bot.fleet.registry.add({ name, url: 'http://127.0.0.1:1', token: 'x', zone: 'z', provider: 'local', storeId }, 0)

function opened(bot: OpenBot, name: string): HeldStore {
  const store = bot.catalogue.open(name)
  if (!store) throw new Error('the store is not registered')
  return store
}

const idsOf = (images: readonly HeldImage[]): string[] => images.map(({ id }) => id.slice(-2))

describe('images', () => {
  test('are listed by shelf and by who sees them, and found by name and parts of ids', () => {
    using bot = open(['edge-a', UUID])
    const store = opened(bot, 'edge-a')
    const grants = [{ subject: 'user:ann', rights: ['read' as const] }]
    bot.catalogue.put(store, [held(10, { name: 'b' }), held(11, { name: 'a', grants }), held(12, { name: 'c', status: 'deleted' })])
    expect(idsOf(bot.catalogue.list(store, ALL))).toEqual(['11', '10'])
    expect(idsOf(bot.catalogue.list(store, { ...ALL, isAll: false }))).toEqual(['10'])
    expect(idsOf(bot.catalogue.list(store, { ...ALL, isBin: true }))).toEqual(['12'])
    expect(idsOf(bot.catalogue.list(store, { ...ALL, limit: 1 }))).toEqual(['11'])
    expect(idsOf(bot.catalogue.find(store, 'b', ALL))).toEqual(['10'])
    expect(idsOf(bot.catalogue.find(store, held(10).id, ALL))).toEqual(['10'])
    expect(idsOf(bot.catalogue.find(store, '0010', ALL))).toEqual(['10'])
    expect(idsOf(bot.catalogue.find(store, '10', ALL))).toEqual([])
    expect(idsOf(bot.catalogue.find(store, '0011', { ...ALL, isAll: false }))).toEqual([])
  })

  test('keep when they changed, and the fingerprint of the store follows them', () => {
    using bot = open(['edge-a', UUID])
    const store = opened(bot, 'edge-a')
    bot.catalogue.put(store, [held(1), held(2)])
    const before = bot.catalogue.of('edge-a')?.fingerprint
    bot.catalogue.put(store, [
      { ...held(1), changedMs: 9 },
      { ...held(2, { name: 'other' }), changedMs: 9 },
    ])
    expect(bot.catalogue.list(store, ALL).map(({ name, changedMs }) => [name, changedMs])).toEqual([
      ['disk-1', 5],
      ['other', 9],
    ])
    expect(bot.catalogue.of('edge-a')?.fingerprint).not.toBe(before ?? '')
    bot.catalogue.put(store, [held(2)])
    expect(bot.catalogue.of('edge-a')?.fingerprint).toBe(before ?? '')
    bot.catalogue.drop(store, [held(1).id, held(2).id, held(3).id])
    expect(bot.catalogue.of('edge-a')).toMatchObject({ images: 0, fingerprint: '0-0000000000000000' })
  })

  test('of a store are bounded; known ones still change at the bound', () => {
    expect([STORE_IMAGES_MAX, IMAGES_MAX]).toEqual([20_000, 4_000_000])
    using bot = open(['edge-a', UUID])
    const store = opened(bot, 'edge-a')
    const many = Array.from({ length: 20_001 }, (_unused, i) => held(i))
    expect(bot.catalogue.put(store, many)).toBe(1)
    expect(bot.catalogue.of('edge-a')?.images).toBe(20_000)
    expect(bot.catalogue.put(store, [held(0, { name: 'renamed' }), held(30_000)])).toBe(1)
    expect(bot.catalogue.find(store, 'renamed', ALL)).toHaveLength(1)
    expect([...bot.catalogue.ids(store)].flat()).toHaveLength(20_000)
  })

  test('of all stores are bounded', () => {
    using bot = open(['edge-a', UUID], ['edge-b', crypto.randomUUID()])
    const [a, b] = [opened(bot, 'edge-a'), opened(bot, 'edge-b')]
    bot.database.run(`UPDATE catalogue_stores SET images = ${IMAGES_MAX - 1} WHERE key = ${b.key}`)
    expect(bot.catalogue.put(a, [held(1), held(2)])).toBe(1)
    expect(bot.catalogue.of('edge-a')?.images).toBe(1)
  })
})

describe('a store', () => {
  test('without a UUID has no images: nobody could tell whose they are', () => {
    using bot = open(['edge-a', null])
    expect(bot.catalogue.open('edge-a')).toBeUndefined()
    bot.fleet.registry.change('edge-a', { storeId: UUID })
    expect(bot.catalogue.open('edge-a')?.name).toBe('edge-a')
  })

  test('that is renamed keeps its images', () => {
    using bot = open(['edge-a', UUID])
    bot.catalogue.put(opened(bot, 'edge-a'), [held(1)])
    bot.fleet.registry.change('edge-a', { name: 'hub' })
    expect([bot.catalogue.of('edge-a'), bot.catalogue.of('hub')?.images]).toEqual([undefined, 1])
  })

  test.each(['edge-a', 'other-name'])('that is removed and added again as %s with its UUID has its images again', (name) => {
    using bot = open(['edge-a', UUID])
    bot.catalogue.put(opened(bot, 'edge-a'), [held(1)])
    bot.fleet.registry.remove('edge-a')
    expect([bot.catalogue.of('edge-a'), bot.catalogue.removed()]).toMatchObject([undefined, [{ name: 'edge-a', images: 1, removedMs: expect.any(Number) }]])
    add(bot, name, UUID)
    expect([bot.catalogue.of(name), bot.catalogue.removed()]).toMatchObject([{ name, images: 1, removedMs: null }, []])
  })

  test('that is another one at the same address does not get the images of the first', () => {
    using bot = open(['edge-a', UUID])
    bot.catalogue.put(opened(bot, 'edge-a'), [held(1)])
    const other = crypto.randomUUID()
    bot.fleet.registry.change('edge-a', { storeId: other })
    expect([bot.catalogue.of('edge-a'), bot.catalogue.removed()[0]?.images]).toEqual([undefined, 1])
    bot.catalogue.put(opened(bot, 'edge-a'), [held(2)])
    bot.fleet.registry.change('edge-a', { storeId: UUID })
    expect(bot.catalogue.list(opened(bot, 'edge-a'), ALL).map(({ name }) => name)).toEqual(['disk-1'])
    bot.fleet.registry.remove('edge-a')
    add(bot, 'edge-a', other)
    expect(bot.catalogue.list(opened(bot, 'edge-a'), ALL).map(({ name }) => name)).toEqual(['disk-2'])
  })

  test('that was removed is forgotten after a time, and when many others were', () => {
    expect([REMOVED_STORES_MAX, REMOVED_MS_MAX]).toEqual([20, 2_592_000_000])
    const names = Array.from({ length: 22 }, (_unused, i) => `store-${i}`)
    using bot = open(...names.map((name) => [name, crypto.randomUUID()] as const))
    for (const name of names) {
      bot.catalogue.put(opened(bot, name), [held(1), held(2)])
      bot.fleet.registry.remove(name)
    }
    const nowMs = Date.now()
    expect([bot.catalogue.forget(nowMs), bot.catalogue.forget(nowMs), bot.catalogue.forget(nowMs)]).toEqual([true, false, false])
    expect(bot.catalogue.removed().map(({ name }) => name)).toEqual(names.slice(2).toReversed())
    while (bot.catalogue.forget(nowMs + REMOVED_MS_MAX + 2000));
    expect(bot.database.query('SELECT count(*) AS images FROM catalogue_images').get()).toEqual({ images: 0 })
  })
})
