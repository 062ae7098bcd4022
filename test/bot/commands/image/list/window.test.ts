// The page of a list of images that the catalogue cuts: which lists it answers, its order among images of other stores, and images of absent stores at its end.

import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { heldOf } from '../../../../../bot/fleet/catalogue/held-image.ts'
import { listWindow } from '../../../../../bot/commands/image/list/window.ts'
import type { AbsentImage } from '../../../../../bot/commands/image/list/held-images.ts'
import type { ImageListing } from '../../../../../bot/commands/image/list/list.ts'
import type { CommandActor } from '../../../../../bot/commands/command.ts'
import { fingerprintText, NO_IMAGES, withImage } from '../../../../../protocol/images/fingerprint.ts'
import type { Image } from '../../../../../protocol/images/image.ts'
import { wantedRows } from '../../../../../protocol/views/html/row-window.ts'
import { imageOf, openScriptedFleet, storeOf } from '../../scripted-fleet.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const LISTING: ImageListing = { title: 'Images', filter: {}, columns: [], isFresh: false }
const ADMIN: CommandActor = { name: 'ann', role: 'admin' }
const idOf = (number: number): string => `11111111-2222-4333-8444-${String(number).padStart(12, '0')}`
const many = (from: number, count: number): Image[] => Array.from({ length: count }, (_unused, i) => imageOf(from + i))

/** A fleet whose service runs and has the images of each store in its catalogue, as the store announced them now. */
function open(stores: Readonly<Record<string, readonly Image[]>>) {
  const fleet = openScriptedFleet(
    Object.fromEntries(Object.entries(stores).map(([name, images]) => [name, Object.fromEntries(images.map((image) => [`PATCH /images/${image.id}`, image]))])),
  )
  const { bot, clock } = fleet
  const { registry, kept } = bot.fleet
  const recordOf = (name: string) => {
    const found = registry.find(name)
    if (!found) throw new Error(`${name} is not registered`)
    return found
  }
  /** The store says that it has what the catalogue has, and the service beats. */
  const announce = (name: string, ageMs = 0): void => {
    const images = stores[name] ?? []
    kept.runs.beat('test', clock.nowMs() - 60_000, clock.nowMs())
    const print = images.reduce((sum, image) => withImage(sum, heldOf(image, 0), 1), NO_IMAGES)
    const available = images.filter(({ status }) => status === 'available').length
    const store = storeOf({
      id: recordOf(name).storeId ?? '',
      name,
      images: { available, deleted: 0, other: images.length - available },
      imagesFingerprint: fingerprintText(print),
    })
    const value = { health: { state: 'running' as const, checks: [], asOf: '2026-01-01T00:00:00.000Z' }, store, tasks: null }
    kept.states.record([{ kind: 'answered', store: recordOf(name), value, asOfMs: clock.nowMs() - ageMs }])
  }
  for (const [i, [name, images]] of Object.entries(stores).entries()) {
    const record = recordOf(name)
    registry.remove(name)
    registry.add({ ...record, storeId: idOf(i) }, 0)
    const held = bot.catalogue.open(name)
    if (!held) throw new Error(`${name} is not in the catalogue`)
    bot.catalogue.put(
      held,
      images.map((image) => heldOf(image, 0)),
    )
    bot.catalogue.verified([{ key: held.key, asOfMs: clock.nowMs() }])
    announce(name)
  }
  const windowOf = (query = '', listing: Partial<ImageListing> = {}, actor = ADMIN) =>
    listWindow({ ...bot.context(actor, 'console'), rows: wantedRows(new URLSearchParams(query)) }, { ...LISTING, ...listing }, registry.list())
  return { ...fleet, recordOf, announce, windowOf, [Symbol.dispose]: () => fleet[Symbol.dispose]() }
}

type Window = NonNullable<ReturnType<ReturnType<typeof open>['windowOf']>>
const namesOf = (cut: ReturnType<Window['cut']>): string[] => cut.rows.map(({ cells }) => cells['name'] ?? '')

describe('the catalogue', () => {
  const one = open({ 'edge-a': many(0, 1) })
  afterAll(() => one[Symbol.dispose]())

  test('answers a list with the number and the sums of its images', () => {
    using it = open({ 'edge-a': many(0, 2), 'edge-b': many(2, 1) })
    const window = it.windowOf()
    expect([...(window?.stores ?? [])]).toEqual(['edge-a', 'edge-b'])
    expect(window?.totals).toEqual({ images: 3, length: 1_800_000, stored: 600_000 })
    expect(window?.asOfMs).toBe(it.clock.nowMs())
  })

  test('is as old as the oldest announcement', () => {
    using it = open({ 'edge-a': many(0, 1), 'edge-b': many(1, 1) })
    it.clock.advance(20_000)
    it.announce('edge-a', 3_000)
    it.announce('edge-b', 7_000)
    expect(it.windowOf()?.asOfMs).toBe(it.clock.nowMs() - 7_000)
  })

  test.each<[what: string, query: string, listing: Partial<ImageListing>, answers: boolean]>([
    ['the columns of a page', '_sort=length', {}, true],
    ['a column that no list has', '_sort=none', {}, false],
    ['an order of the command', '', { sort: 'name' }, false],
    ['agents that are asked', '', { isFresh: true }, false],
    ['filters that it has', '', { filter: { owner: 'ann', status: 'available', name: 'a', kind: 'system', format: 'raw' } }, true],
    ['a filter that is not given', '', { filter: { owner: undefined, label: undefined } }, true],
    ['an owner that is missing', '', { filter: { owner: '' } }, false],
    ['a filter that it does not have', '', { filter: { search: 'a' } }, false],
    ['eight words', '_find=aw+bw+cw+dw+ew+fw+gw+hw', {}, true],
    ['nine words', '_find=aw+bw+cw+dw+ew+fw+gw+hw+iw', {}, false],
    ['a word of 200 characters', `_find=${'x'.repeat(200)}`, {}, true],
    ['a word that is not ASCII', '_find=d%C3%A9bian', {}, false],
    ['the part of a length', '_find=1.5', {}, false],
    ['a unit', '_find=gib', {}, false],
    ['a text that begins like a length', '_find=1.5x', {}, true],
  ])('and %s', (_what, query, listing, answers) => {
    expect(one.windowOf(query, listing) !== undefined).toBe(answers)
  })

  test('answers only while the service runs and has heard of a store', () => {
    using it = open({ 'edge-a': many(0, 1) })
    it.bot.fleet.kept.runs.end('test')
    expect(it.windowOf()).toBeUndefined()
    using empty = open({ 'edge-a': many(0, 1) })
    empty.bot.fleet.registry.remove('edge-a')
    expect(empty.windowOf()).toBeUndefined()
  })

  test('does not answer for a store that was changed up to two seconds before its announcement', async () => {
    using it = open({ 'edge-a': many(0, 1), 'edge-b': many(1, 1) })
    const stores = (): string[] => [...(it.windowOf()?.stores ?? [])]
    await it.bot.fleet.contact(it.recordOf('edge-a'), (agent) => agent.images.patch(imageOf(0).id, { description: 'x' }))
    it.clock.advance(2_000)
    for (const name of ['edge-a', 'edge-b']) it.announce(name)
    expect(stores()).toEqual(['edge-b'])
    it.clock.advance(1)
    it.announce('edge-a')
    expect(stores()).toEqual(['edge-a', 'edge-b'])
  })

  test.each<[who: string, actor: CommandActor, names: string[]]>([
    ['an operator', { name: 'ann', role: 'operator' }, ['granted', 'open', 'secret']],
    ['an uploader', { name: 'ann', role: 'uploader' }, ['open']],
    ['an operator of one store', { name: 'ann', role: 'viewer', roleIn: ({ name }) => (name === 'edge-b' ? 'operator' : 'viewer') }, ['open', 'secret']],
  ])('shows %s the images that this person sees', (_who, actor, names) => {
    const grants = [{ subject: 'user:eve', rights: ['read' as const] }]
    using it = open({ 'edge-a': [imageOf(1, { name: 'open' }), imageOf(2, { name: 'granted', grants })], 'edge-b': [imageOf(3, { name: 'secret', grants })] })
    const window = it.windowOf('', {}, actor)
    if (!window) throw new Error('the catalogue does not answer')
    expect([namesOf(window.cut([], [])), window.totals.images]).toEqual([names, names.length])
  })
})

describe('images of stores that were asked', () => {
  const held = [
    imageOf(1, { name: 'Beta', owner: 'ann', length: 300, storedSize: 30, createdAt: '2026-01-03T00:00:00.000Z', kind: 'template' }),
    imageOf(3, {
      ...{ name: 'gamma', owner: 'Bob', length: 200, storedSize: 20, createdAt: '2026-01-01T00:00:00.000Z', format: null },
      ...{ expiresAt: '2026-02-01T00:00:00.000Z', deletedAt: '2026-01-05T00:00:00.000Z' },
    }),
  ]
  const live = [
    imageOf(2, {
      ...{ name: 'alpha', owner: null, length: 100, storedSize: null, createdAt: '2026-01-02T00:00:00.000Z', kind: 'iso', format: 'iso', status: 'degraded' },
      ...{ expiresAt: '2026-02-02T00:00:00.000Z', deletedAt: '2026-01-04T00:00:00.000Z' },
    }),
    imageOf(4, { name: 'Delta', owner: 'cat', length: 400, storedSize: 10, createdAt: '2026-01-04T00:00:00.000Z', kind: 'backup', format: 'vmdk' }),
  ]
  const it = open({ 'edge-a': held, 'edge-b': [] })
  afterAll(() => it[Symbol.dispose]())
  const cutOf = (query: string) => {
    const window = it.windowOf(query)
    if (!window) throw new Error('the catalogue does not answer')
    const store = it.recordOf('edge-b')
    return window.cut(
      live.map((image) => ({ store, image })),
      [],
    )
  }

  test.each([
    ['name', ['alpha', 'Beta', 'Delta', 'gamma']],
    ['store', ['Beta', 'gamma', 'alpha', 'Delta']],
    ['status', ['Beta', 'gamma', 'Delta', 'alpha']],
    ['kind', ['Delta', 'alpha', 'gamma', 'Beta']],
    ['format', ['alpha', 'Beta', 'Delta', 'gamma']],
    ['length', ['alpha', 'gamma', 'Beta', 'Delta']],
    ['stored', ['Delta', 'gamma', 'Beta', 'alpha']],
    ['owner', ['Beta', 'gamma', 'Delta', 'alpha']],
    ['created', ['gamma', 'alpha', 'Beta', 'Delta']],
    ['deleted', ['alpha', 'gamma', 'Beta', 'Delta']],
    ['expires', ['gamma', 'alpha', 'Beta', 'Delta']],
    ['id', ['Beta', 'alpha', 'gamma', 'Delta']],
  ])('stand by %s among those of the catalogue', (order, names) => {
    expect(namesOf(cutOf(`_sort=${order}`))).toEqual(names)
    expect(namesOf(cutOf(`_sort=${order}&_order=down`))).toEqual(names.toReversed())
  })

  test('are found by words, and counted', () => {
    const cut = cutOf('_find=DELTA')
    expect([namesOf(cut), cut.listed.map(({ image }) => image.name), cut.cut]).toEqual([['Delta'], ['Delta'], { offset: 0, found: 1, all: 4 }])
    const both = cutOf('_find=edge-')
    expect([namesOf(both), both.cut]).toEqual([['alpha', 'Beta', 'Delta', 'gamma'], { offset: 0, found: 4, all: 4 }])
  })

  test('with the same name stand by their id, then by their store', () => {
    using other = open({ 'edge-b': [imageOf(2, { name: 'same' })], 'edge-a': [] })
    const window = other.windowOf()
    const store = other.recordOf('edge-a')
    const cut = window?.cut(
      [1, 2, 3].map((number) => ({ store, image: imageOf(number, { name: 'SAME' }) })),
      [],
    )
    expect(cut?.listed.map(({ store: { name }, image }) => `${name} ${Number(image.id.slice(4))}`)).toEqual(['edge-a 1', 'edge-a 2', 'edge-b 2', 'edge-a 3'])
  })
})

describe('a page', () => {
  const absentOf = (count: number): AbsentImage[] =>
    many(500, count).map((image) => ({
      absent: { held: { key: 9, name: 'gone', storeId: null, asOfMs: 0, removedMs: 0, images: count, beyond: 0 } as never, sinceMs: 0, silence: undefined },
      image: heldOf(image, 0),
    }))
  const nameAt = (number: number): string => `disk-${number}`
  const range = (from: number, to: number): string[] => Array.from({ length: to - from }, (_unused, i) => nameAt(from + i))

  test.each([
    ['', 0, [...range(100, 149), ...range(500, 501)]],
    ['_page=2', 50, range(501, 551)],
    ['_page=3', 100, range(551, 560)],
    ['_page=9', 100, range(551, 560)],
  ])('at "%s" has the images of absent stores after all others', (query, offset, names) => {
    using it = open({ 'edge-a': many(100, 49) })
    const cut = it.windowOf(query)?.cut([], absentOf(60))
    expect(cut && [namesOf(cut), cut.listed.length, cut.cut]).toEqual([names, offset === 0 ? 49 : 0, { offset, found: 109, all: 109 }])
  })

  test.each([
    ['', range(100, 150)],
    ['_page=2', range(150, 200)],
    ['_page=3', [...range(200, 210), ...range(500, 502)]],
  ])('at "%s" goes on where the page before it ends, also with images of stores that were asked', (query, names) => {
    const all = many(100, 110)
    using it = open({ 'edge-a': all.filter((_image, i) => i % 2 === 0), 'edge-b': [] })
    const store = it.recordOf('edge-b')
    const found = all.filter((_image, i) => i % 2 === 1).map((image) => ({ store, image }))
    const cut = it.windowOf(query)?.cut(found, absentOf(2))
    expect(cut && [namesOf(cut), cut.cut.found]).toEqual([names, 112])
    using whole = open({ 'edge-a': all })
    const same = whole.windowOf(query)?.cut([], absentOf(2))
    expect(same && namesOf(same)).toEqual(names)
  })

  test('finds words in images of absent stores too', () => {
    using it = open({ 'edge-a': many(100, 3) })
    const cut = it.windowOf('_find=disk-50')?.cut([], absentOf(20))
    expect(cut && [namesOf(cut), cut.cut]).toEqual([range(500, 510), { offset: 0, found: 10, all: 23 }])
  })
})
