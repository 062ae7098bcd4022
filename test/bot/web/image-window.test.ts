// The page of a list of images that the catalogue answers: the same rows, words, order and sums as from the agents, who is asked all the same, and what a change does.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { heldOf } from '../../../bot/fleet/catalogue/held-image.ts'
import { WINDOW_ORDERS, pageSql } from '../../../bot/fleet/catalogue/window.ts'
import type { WindowOrder } from '../../../bot/fleet/catalogue/window.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { fingerprintText, isFingerprinted, NO_IMAGES, withImage } from '../../../protocol/images/fingerprint.ts'
import type { Image } from '../../../protocol/images/image.ts'
import type { Health } from '../../../protocol/health.ts'
import type { Role } from '../../../protocol/access.ts'
import { imageOf, page as listOf, storeOf } from '../commands/scripted-fleet.ts'
import { openTestPage } from './fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const RUNNING: Health = { state: 'running', checks: [], asOf: '2026-01-01T00:00:00.000Z' }
const idOf = (number: number): string => `11111111-2222-4333-8444-${String(number).padStart(12, '0')}`

interface Members {
  readonly state?: 'running' | 'error'
  /** What the agent has and the catalogue does not. */
  readonly more?: readonly Image[]
  /** How old the announcement is. */
  readonly ageMs?: number
}

/** A page whose service has read these images, and heard from every store that they are unchanged, unless `members` say otherwise. */
function openFleet(stores: Readonly<Record<string, readonly Image[]>>, members: Readonly<Record<string, Members>> = {}) {
  const all = Object.entries(stores).map(([name, images]) => [name, [...images, ...(members[name]?.more ?? [])]] as const)
  const scripts = Object.fromEntries(
    all.map(([name, images]) => [
      name,
      {
        'GET /images': ({ query }: { readonly query: Readonly<Record<string, string>> }) =>
          listOf(
            images.filter(
              (image) =>
                (query['status'] === undefined ? image.status !== 'deleted' : image.status === query['status']) &&
                (query['owner'] === undefined || image.owner === query['owner']),
            ),
          ),
        'GET /health': { ...RUNNING, state: members[name]?.state ?? 'running' },
        ...Object.fromEntries(images.map((image) => [`GET /images/${image.id}`, image])),
        ...Object.fromEntries(images.map((image) => [`PATCH /images/${image.id}`, image])),
      },
    ]),
  )
  const page = openTestPage({ scripts })
  const { fleet, catalogue } = page.bot
  const announce = (): void => {
    fleet.kept.runs.beat('test', page.clock.nowMs() - 60_000, page.clock.nowMs())
    for (const [i, [name, images]] of all.entries()) {
      const found = fleet.registry.find(name)
      if (!found) throw new Error(`${name} is not registered`)
      const { state = 'running', ageMs = 0 } = members[name] ?? {}
      const print = images.reduce((sum, image) => withImage(sum, heldOf(image, 0), 1), NO_IMAGES)
      const deleted = images.filter(({ status }) => status === 'deleted').length
      const available = images.filter(({ status }) => status === 'available').length
      const counts = { available, deleted, other: images.length - available - deleted }
      const store = storeOf({ id: idOf(i), name, images: counts, imagesFingerprint: fingerprintText(print) })
      const value = { health: { ...RUNNING, state }, store, tasks: null }
      fleet.kept.states.record([{ kind: 'answered', store: found, value, asOfMs: page.clock.nowMs() - ageMs }])
    }
  }
  for (const [i, [name]] of all.entries()) {
    const record = fleet.registry.find(name)
    if (!record) throw new Error(`${name} is not registered`)
    fleet.registry.remove(name)
    fleet.registry.add({ ...record, storeId: idOf(i) }, 0)
    const held = catalogue.open(name)
    if (!held) throw new Error(`${name} is not in the catalogue`)
    catalogue.put(
      held,
      (stores[name] ?? []).filter(isFingerprinted).map((image) => heldOf(image, 0)),
    )
    catalogue.verified([{ key: held.key, asOfMs: page.clock.nowMs() }])
  }
  announce()
  const askedFor = (): string[] => [...new Set(page.asked.filter((line) => line.endsWith('GET /images')).map((line) => line.split(' ')[0] ?? ''))].toSorted()
  return { page, announce, askedFor, [Symbol.dispose]: () => page[Symbol.dispose]() }
}

/** What a page says: names with stores in their order, the sentence, the pager and the filter. */
function factsOf(text: string) {
  const rows = [...text.matchAll(/<tr role="row"(?: class="[^"]*")?>(.*?)<\/tr>/gs)].map(([, row = '']) =>
    [...row.matchAll(/data-label="([^"]*)"[^>]*>(.*?)<\/t[hd]>/gs)]
      .filter(([, label]) => label !== 'Actions')
      .map(([, , cell = '']) => cell.replaceAll(/<[^>]*>/g, '')),
  )
  return {
    rows: rows.filter((row) => row.length > 0),
    images: /\d+ images?, [^<]* stored/.exec(text)?.[0],
    pager: /Page \d+ of \d+, \d+ rows?/.exec(text)?.[0],
    filtered: /\d+ rows? of \d+/.exec(text)?.[0],
  }
}

const MANY: Record<string, Image[]> = {
  'edge-a': Array.from({ length: 60 }, (_, i) =>
    imageOf(i, { name: `disk-${100 + i}`, length: 1000 * (i + 1), owner: i % 2 ? 'ann' : 'bob', kind: i % 3 ? 'iso' : 'template' }),
  ),
  'edge-b': Array.from({ length: 60 }, (_, i) =>
    imageOf(100 + i, { name: i === 7 ? 'image-107%_\\x' : `image-${100 + i}`, length: 7000 + i, owner: 'ann', storedSize: i === 5 ? null : 10 * i }),
  ),
}
const ADDRESSES = [
  '/images',
  '/images?_page=2',
  '/images?_page=99',
  '/images?_page=3&_sort=length&_order=down',
  ...Object.keys(WINDOW_ORDERS)
    .filter((key) => key !== 'deleted' && key !== 'expires')
    .flatMap((key) => [`/images?_sort=${key}&_find=disk`, `/images?_sort=${key}&_order=down&_find=disk`]),
  '/images?_find=disk-11+ann',
  // Parts of each cell, and words that only look like them.
  ...[
    'img_',
    'mg',
    'ava',
    'able',
    'raw',
    'iso',
    'tem',
    'ever',
    'tc',
    'utcx',
    '-01',
    '00:00',
    '0z',
    't00',
    'dge-a',
    'DGE-A',
    "o'b",
    '$1',
    '$word',
    '%',
    '_',
    '\\',
    '0%_',
    'e_107',
    'e%1',
  ].map((word) => `/images?_find=${encodeURIComponent(word)}`),
  '/images?_find=nothing-has-this',
  '/images?_find=2026-01-01',
  '/images?_find=UTC+edge-b',
  '/images?owner=ann&_find=image-1',
  '/images?status=available',
  '/images?status=degraded',
  '/stores/edge-b/images?_page=2',
  '/c/image/bin',
]

describe('a page of images', () => {
  test.each(ADDRESSES)('at %s is the same from the catalogue as from the agents', async (path) => {
    using it = openFleet(MANY)
    const admin = await it.page.enterAs('operator')
    const known = factsOf((await admin.get(path)).text)
    if (path !== '/c/image/bin') expect(it.askedFor()).toEqual([])
    const fresh = factsOf((await admin.get(`${path}${path.includes('?') ? '&' : '?'}--fresh=true`)).text)
    expect(it.askedFor()).toEqual(path.startsWith('/stores') ? ['edge-b'] : ['edge-a', 'edge-b'])
    // Equal values have an order by id in the one and none in the other.
    const isTied = /_sort=(?:store|status|kind|format|stored|owner|created)/.test(path)
    const sorted = (facts: ReturnType<typeof factsOf>) =>
      isTied && facts.pager === undefined
        ? { ...facts, rows: facts.rows.toSorted((a, b) => a.join().localeCompare(b.join())) }
        : isTied
          ? { ...facts, rows: facts.rows.length }
          : facts
    expect(sorted(known)).toEqual(sorted(fresh))
  })

  test.each([
    ['in error', { state: 'error' }],
    ['with images that the catalogue does not have', { more: [imageOf(900, { name: 'aaa-new' })] }],
    ['with images without content', { more: [imageOf(901, { name: 'aaa-new', status: 'uploading' })] }],
    ['whose announcement is too old', { ageMs: 41_000 }],
  ] as const)('asks a store %s, and merges its images', async (_name, members) => {
    using it = openFleet(MANY, { 'edge-b': members })
    const visitor = await it.page.enterAs('viewer')
    const { rows, pager, images } = factsOf((await visitor.get('/images')).text)
    const count = 120 + ('more' in members ? 1 : 0)
    expect([it.askedFor(), pager, images?.split(',')[0], rows.length]).toEqual([['edge-b'], `Page 1 of 3, ${count} rows`, `${count} images`, 50])
    expect(rows[0]?.[0]).toContain('more' in members ? 'aaa-new' : 'disk-100')
    const second = factsOf((await visitor.get('/images?_page=2')).text)
    const names = second.rows.map(([name = '']) => name.replace(/^\W*/, '').replace(/^\w+: ?/, ''))
    expect([names.some((name) => name.includes('disk-159')), names.some((name) => name.includes('image-100'))]).toEqual([true, true])
  })

  test.each([
    '/images?_find=12',
    '/images?_find=GB',
    '/images?_find=%C3%A9',
    '/images?sort=-length',
    '/images?search=disk',
    `/images?_find=${'word+'.repeat(9)}`,
  ])('at %s comes from the agents, because the catalogue cannot tell', async (path) => {
    using it = openFleet(MANY)
    await (await it.page.enterAs('operator')).get(path)
    expect(it.askedFor()).toEqual(['edge-a', 'edge-b'])
  })

  test.each([
    ['viewer', ['open']],
    ['operator', ['granted', 'hidden', 'open']],
  ] as const satisfies readonly (readonly [Role, readonly string[]])[])('shows %s the images that they see', async (role, names) => {
    const grants = [{ subject: 'user:eve', rights: ['read' as const] }]
    using it = openFleet({
      'edge-a': [imageOf(1, { name: 'open' }), imageOf(2, { name: 'granted', grants }), imageOf(3, { name: 'hidden', mediaGroup: 'lab', hidden: true })],
    })
    const { text } = await (await it.page.enterAs(role)).get('/images')
    expect([it.askedFor(), factsOf(text).rows.length, names.every((name) => text.includes(name)), text.includes('granted')]).toEqual([
      [],
      names.length,
      true,
      role !== 'viewer',
    ])
  })

  test('asks a store that this process changed until a later announcement', async () => {
    using it = openFleet(MANY)
    const visitor = await it.page.enterAs('operator')
    const image = MANY['edge-a']?.[0]
    await visitor.get('/images')
    expect(it.askedFor()).toEqual([])
    it.page.clock.advance(3_000)
    const [store] = it.page.bot.fleet.registry.list()
    if (!store || !image) throw new Error('there is no store')
    await it.page.bot.fleet.contact(store, (agent) => agent.images.patch(image.id, { description: 'x' }))
    it.announce()
    await visitor.get('/images')
    expect(it.askedFor()).toEqual(['edge-a'])
    it.page.asked.length = 0
    it.page.clock.advance(2_001)
    it.announce()
    await visitor.get('/images')
    expect(it.askedFor()).toEqual([])
  })

  test('comes from the agents while the service does not run', async () => {
    using it = openFleet(MANY)
    it.page.bot.fleet.kept.runs.end('test')
    await (await it.page.enterAs('operator')).get('/images')
    expect(it.askedFor()).toEqual(['edge-a', 'edge-b'])
  })
})

test.each(Object.keys(WINDOW_ORDERS) as WindowOrder[])('a page by %s searches the images of each store by its key, and reads no others', (order) => {
  using database = openMemoryDatabase()
  for (const words of [[], ['disk', '2026-11', 'never']]) {
    const plan = database
      .query<{ detail: string }, []>(`EXPLAIN QUERY PLAN ${pageSql(words, order, true)}`)
      .all()
      .map(({ detail }) => detail)
    expect(plan.filter((line) => /^(?:SCAN|SEARCH) [is]\b/.test(line))).toEqual([
      expect.stringContaining('SEARCH s USING INTEGER PRIMARY KEY'),
      expect.stringMatching(/^SEARCH i USING (?:PRIMARY KEY|INDEX \w+) \(store=\?/),
    ])
  }
})
