// Pages of images: filters, orders and cursors, compared with a simple model, and unit cases of each filter.

import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { newLife } from '../../../../agent/images/records/image-file.ts'
import { createImageTable } from '../../../../agent/images/records/image-table.ts'
import { imageTest } from '../../../../agent/images/lists/filter.ts'
import { pageOfImages } from '../../../../agent/images/lists/pages.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import type { Image } from '../../../../protocol/images/image.ts'
import { IMAGE_SORTS, imageCursorSchema, imageFilterSchema, imageOrderSchema } from '../../../../protocol/images/image-list.ts'
import type { ImageOrder } from '../../../../protocol/images/image-list.ts'
import { ProblemError } from '../../../../protocol/problems.ts'
import { propertyOptions } from '../../../support/properties.ts'
import { memoryImage } from '../../../support/memory/memory-image.ts'

function image(number: number, changes: Partial<Image> = {}): Image {
  return memoryImage({ id: `img_${String(number).padStart(26, '0')}`, name: `image ${number}`, ...changes })
}

function tableOf(images: readonly Image[]) {
  const table = createImageTable()
  for (const one of images) table.put({ image: one, life: newLife() })
  return table
}

function walk(images: readonly Image[], others: readonly Image[], sort: ImageOrder, limit: number): string[] {
  const { orders } = tableOf(images)
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = pageOfImages({ orders, others }, {}, { sort, limit, cursor })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    if (page.next !== null) expect([page.items.length, imageCursorSchema.safeParse(page.next).success]).toEqual([limit, true])
    ids.push(...page.items.map(({ id }) => id))
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  return ids
}

describe('an order', () => {
  const ids = (images: readonly Image[], sort: ImageOrder): number[] => walk(images, [], sort, 2).map((id) => Number(id.slice(4)))

  test('by name ignores case, and sorts equal names by id', () => {
    const images = [image(1, { name: 'b' }), image(2, { name: 'A' }), image(3, { name: 'C' }), image(4, { name: 'a' })]
    expect(ids(images, 'name')).toEqual([2, 4, 1, 3])
    expect(ids(images, '-name')).toEqual([3, 1, 4, 2])
  })

  test('has unknown values before all others', () => {
    const images = [image(1, { virtualSize: 0 }), image(2, { virtualSize: null }), image(3, { virtualSize: 5 })]
    expect(ids(images, 'virtualSize')).toEqual([2, 1, 3])
    const groups = [image(1, { mediaGroup: 'a' }), image(2, { mediaGroup: null })]
    expect(ids(groups, '-mediaGroup')).toEqual([1, 2])
    const systems = [image(1, { cloudInit: true }), image(2, { cloudInit: null }), image(3, { cloudInit: false })]
    expect(ids(systems, 'cloudInit')).toEqual([2, 3, 1])
  })

  test('by requirements, and newest first without a choice', () => {
    const images = [
      image(1, { requirements: { cpus: 4, memory: 1, disk: null }, createdAt: '2026-01-01T00:00:00.000Z' }),
      image(2, { requirements: { cpus: 2, memory: 9, disk: 7 }, createdAt: '2026-01-03T00:00:00.000Z' }),
      image(3, { requirements: null, createdAt: '2026-01-02T00:00:00.000Z' }),
    ]
    expect([ids(images, 'cpus'), ids(images, '-memory'), ids(images, 'disk'), ids(images, '-createdAt')]).toEqual([
      [3, 2, 1],
      [2, 1, 3],
      [1, 3, 2],
      [2, 3, 1],
    ])
  })

  test('takes each of the documented members in both directions', () => {
    expect(imageOrderSchema.options).toHaveLength(IMAGE_SORTS.length * 2)
    for (const sort of imageOrderSchema.options) expect(ids([image(1), image(2)], sort)).toHaveLength(2)
    expect(imageOrderSchema.safeParse('uniqueSize').success).toBe(false)
  })
})

test('pages of changing images have every image that did not change, once, in order', () => {
  const members = fc.record({ name: fc.constantFrom('a', 'B', 'c', ''), length: fc.nat(3), owner: fc.constantFrom(null, 'ann', 'Bob') })
  const change = fc.record({ at: fc.nat(30), kind: fc.constantFrom('put', 'remove'), members })
  fc.assert(
    fc.property(
      fc.array(members, { maxLength: 30 }),
      fc.array(change, { maxLength: 20 }),
      fc.constantFrom<ImageOrder>('name', '-name', 'length', '-length', 'owner', '-owner', '-createdAt'),
      fc.integer({ min: 1, max: 5 }),
      (start, changes, sort, limit) => {
        const named = start.map((each, index) => image(index, { ...each, name: each.name || 'x' }))
        const table = tableOf(named)
        const model = new Map(named.map((each) => [each.id, each]))
        const touched = new Set<string>()
        const seen: string[] = []
        let cursor: string | undefined
        let step = 0
        do {
          const page = pageOfImages({ orders: table.orders, others: [] }, {}, { sort, limit, cursor })
          seen.push(...page.items.map(({ id }) => id))
          cursor = page.next ?? undefined
          const edit = changes[step++]
          if (!edit) continue
          const { id } = image(edit.at)
          touched.add(id)
          if (edit.kind === 'remove') {
            table.remove(id)
            model.delete(id)
          } else {
            const put = image(edit.at, { ...edit.members, name: edit.members.name || 'x' })
            table.put({ image: put, life: newLife() })
            model.set(id, put)
          }
        } while (cursor !== undefined)
        const kept = seen.filter((id) => !touched.has(id))
        expect(new Set(kept).size).toBe(kept.length)
        const sign = sort.startsWith('-') ? -1 : 1
        const member = sort.replace('-', '') as 'name' | 'length' | 'owner' | 'createdAt'
        const valueOf = (each: Image) => (typeof each[member] === 'number' ? each[member] : (each[member] ?? '').toLowerCase())
        const compare = (a: Image, b: Image) => {
          const [left, right] = [valueOf(a), valueOf(b)]
          return (left === right ? (a.id < b.id ? -1 : 1) : left < right ? -1 : 1) * sign
        }
        const expected = [...model.values()].filter(({ id }) => !touched.has(id)).toSorted(compare)
        expect(kept).toEqual(expected.map(({ id }) => id))
        // An order that was kept up to date equals one that is sorted again.
        const fresh = tableOf([...model.values()])
        const all = (from: typeof table) => pageOfImages({ orders: from.orders, others: [] }, {}, { sort, limit: 1000 }).items
        expect(all(table)).toEqual(all(fresh))
      },
    ),
    propertyOptions(200),
  )
})

test('images that are still uploaded are merged into the order', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ length: fc.nat(5), isOther: fc.boolean() }), { maxLength: 20 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 4 }),
      (all, isDown, limit) => {
        const images = all.map(({ length }, index) => image(index, { length }))
        const stored = images.filter((_, index) => !all[index]?.isOther)
        const others = images.filter((_, index) => all[index]?.isOther)
        const sort = isDown ? '-length' : 'length'
        expect(walk(stored, others, sort, limit)).toEqual(walk(images, [], sort, 1000))
      },
    ),
    propertyOptions(100),
  )
})

test.each([1999, 2000, 2001, 2100])('a filter that %d images pass lists them like a list without one', (count) => {
  const table = tableOf([...Array.from({ length: count }, (_, i) => image(i, { name: `n${(i * 7919) % count}` })), image(9999, { kind: 'backup', name: 'n5' })])
  const idsOf = (filter: { kind?: 'system' }) => {
    const ids: string[] = []
    let cursor: string | undefined
    do {
      const page = pageOfImages({ orders: table.orders, others: [image(8888, { name: 'n5x' })] }, filter, { sort: '-name', limit: 700, cursor })
      ids.push(...page.items.map(({ id }) => id))
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    return ids
  }
  const filtered = idsOf({ kind: 'system' })
  expect(filtered).toHaveLength(count + 1)
  expect(filtered).toEqual(idsOf({}).filter((id) => id !== image(9999).id))
})

describe('a cursor', () => {
  const { orders } = tableOf([image(1, { name: 'a' }), image(2, { name: 'b' })])
  const listing = (sort: ImageOrder, cursor: string) => pageOfImages({ orders, others: [] }, {}, { sort, limit: 1, cursor })
  const cursorOf = (sort: ImageOrder): string => pageOfImages({ orders, others: [] }, {}, { sort, limit: 1 }).next ?? ''

  test('belongs to its order', () => {
    expect(cursorOf('-createdAt')).toMatch(/^\d+-img_0{25}2$/)
    expect(listing('name', cursorOf('name')).items.map(({ name }) => name)).toEqual(['b'])
    for (const [sort, other] of [
      ['-name', 'name'],
      ['length', 'name'],
      ['-createdAt', 'name'],
      ['name', '-createdAt'],
    ] as const)
      expect(() => listing(sort, cursorOf(other))).toThrow(ProblemError)
  })

  test.each([
    'nonsense',
    'bm8.-img_00000000000000000000000001',
    'WyJuYW1lIiwxXQ.-img_00000000000000000000000001',
    'WyJuYW1lIl0.-img_00000000000000000000000001',
    // null, and ["name","a",1].
    'bnVsbA.-img_00000000000000000000000001',
    'WyJuYW1lIiwiYSIsMV0.-img_00000000000000000000000001',
  ])('%p was not issued', (cursor) => {
    expect(() => listing('name', cursor)).toThrow('The cursor was not issued by this list.')
  })

  test('of the longest name is accepted', () => {
    const long = tableOf([image(1, { name: '\u{1d11e}'.repeat(127) }), image(2, { name: '\u{1d11e}'.repeat(127) })])
    const { next } = pageOfImages({ orders: long.orders, others: [] }, {}, { sort: 'name', limit: 1 })
    expect(pageOfImages({ orders: long.orders, others: [] }, {}, { sort: 'name', limit: 1, cursor: next ?? '' }).items).toHaveLength(1)
  })
})

test.each([
  ['deb', 'A DEBIAN', true],
  ['DEB', 'a debian', true],
  ['a.b', 'axb', false],
  ['a.b', 'xa.b', true],
  ['[', 'a[', true],
  ['', 'any', true],
  ['über', 'Die ÜBERSICHT', true],
  ['Über', 'die übersicht', true],
  ['s', '\u017f', false],
  // The sign for kelvin is a K in small letters.
  ['k', '\u212a', true],
  ['x', 'ÄÖÜ', false],
  ['x', 'ÄÖÜX', true],
])('the text %j is searched in %j in any case', (search, text, isFound) => {
  expect(imageTest({ search })(image(1, { name: text }))).toBe(isFound)
  expect(imageTest({ search })(image(1, { name: search === '' ? '' : '-', description: text }))).toBe(isFound)
})

describe('a filter', () => {
  const debian = image(1, {
    name: 'Debian',
    description: 'hardened',
    kind: 'template',
    os: 'debian-12',
    owner: 'ann',
    labels: { env: 'test', team: '' },
    bindings: ['vm-1'],
    requirements: { cpus: 2, memory: 100, disk: null },
    sourceInstance: 'vm-9',
    mediaGroup: 'base',
    cloudInit: true,
    protected: true,
    createdAt: '2026-01-02T00:00:00.000Z',
  })
  const plain = image(2, { createdAt: '2026-01-01T00:00:00.000Z' })
  const bin = image(3, { status: 'deleted' })

  test.each([
    [{}, [1, 2]],
    [{ status: 'deleted' }, [3]],
    [{ status: 'creating' }, []],
    [{ name: 'Debian' }, [1]],
    [{ name: 'debian' }, []],
    [{ search: 'DEB' }, [1]],
    [{ search: 'hard' }, [1]],
    [{ search: 'hard.' }, []],
    [{ kind: 'template' }, [1]],
    [{ format: 'raw' }, [1, 2]],
    [{ format: 'qcow2' }, []],
    [{ owner: 'ann' }, [1]],
    [{ owner: '' }, [2]],
    [{ os: 'debian-12' }, [1]],
    [{ os: '' }, [2]],
    [{ mediaGroup: 'base' }, [1]],
    [{ mediaGroup: '' }, [2]],
    [{ sourceInstance: 'vm-9' }, [1]],
    [{ sourceInstance: '' }, [2]],
    [{ instance: 'vm-1' }, [1]],
    [{ source: 'upload' }, [1, 2]],
    [{ source: 'sync' }, []],
    [{ cloudInit: 'true' }, [1]],
    [{ cloudInit: 'false' }, [2]],
    [{ protected: 'true' }, [1]],
    [{ protected: 'false' }, [2]],
    [{ label: 'env=test' }, [1]],
    [{ label: 'env=test,team' }, [1]],
    [{ label: 'env=other' }, []],
    [{ label: 'team=' }, [1]],
    [{ label: 'toString' }, []],
    [{ cpus: '2' }, [1, 2]],
    [{ cpus: '1' }, [2]],
    [{ memory: '99' }, [2]],
    [{ memory: '100' }, [1, 2]],
    [{ disk: '0' }, [1, 2]],
    [{ createdAfter: '2026-01-01T00:00:00.000Z' }, [1]],
    [{ createdBefore: '2026-01-02T00:00:00.000Z' }, [2]],
    [{ owner: 'ann', kind: 'disk' }, []],
  ])('%j lists %j', (filter, expected) => {
    const passes = imageTest(imageFilterSchema.parse(filter))
    const found = [debian, plain, bin].filter(passes).map(({ id }) => Number(id.slice(4)))
    expect(found).toEqual(expected)
  })

  test.each([
    { label: '' },
    { label: 'a b' },
    { label: 'a,,b' },
    { label: '=x' },
    { cpus: '0' },
    { memory: '-1' },
    { cloudInit: 'yes' },
    { search: '' },
    { createdAfter: 'now' },
  ])('%j is refused', (filter) => {
    expect(imageFilterSchema.safeParse(filter).success).toBe(false)
  })
})

describe('an order that is not sorted yet', () => {
  const images = Array.from({ length: 5000 }, (_, i) => image(i, { name: `name ${(i * 7919) % 1000}`, owner: i % 3 === 0 ? 'ann' : null }))

  test('gives the pages that it gives once it is sorted in the background', async () => {
    const sleeps: (() => void)[] = []
    // Time passes with every question, so that the work is done in many turns; each turn begins when the test says so.
    let nowMs = 0
    const clock = { monotonicMs: () => (nowMs += 2), sleep: () => new Promise<void>((resolve) => sleeps.push(resolve)) }
    const table = createImageTable(undefined, undefined, clock)
    const plain = createImageTable()
    const put = (one: Image): void => {
      for (const each of [table, plain]) each.put({ image: one, life: newLife() })
    }
    for (const one of images) put(one)
    const pages = (orders: typeof table.orders, sort: ImageOrder): string[][] => {
      const ids: string[][] = []
      for (const filter of [{}, { owner: '' }]) {
        let cursor: string | undefined
        for (let count = 0; count < 3; count++) {
          const page = pageOfImages({ orders, others: [] }, filter, { sort, limit: 700, cursor })
          ids.push([...page.items.map(({ id }) => id), String(page.next)])
          cursor = page.next ?? undefined
        }
      }
      return ids
    }
    for (const sort of ['name', '-name'] as const) expect(pages(table.orders, sort)).toEqual(pages(plain.orders, sort))
    expect(table.orders.isSorted('name')).toBe(false)
    let turns = 0
    while (!table.orders.isSorted('name')) {
      // Images are changed, added and removed between the turns.
      put(image(turns * 3, { name: `changed ${turns}` }))
      put(image(10_000 + turns, { name: `name ${turns}` }))
      for (const each of [table, plain]) each.remove(image(turns * 3 + 1).id)
      for (const resume of sleeps.splice(0)) resume()
      await systemClock.sleep(0)
      if (turns++ % 4 === 0) expect(pages(table.orders, 'name')).toEqual(pages(plain.orders, 'name'))
    }
    expect(turns).toBeGreaterThan(2)
    for (const sort of ['name', '-name'] as const) expect(pages(table.orders, sort)).toEqual(pages(plain.orders, sort))
  })
})
