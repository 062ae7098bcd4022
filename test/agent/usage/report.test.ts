// Reports of usage from a real catalogue and ledger, compared with a model that notes every change itself.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createUsageReports, USAGE_REPORTS_MAX } from '../../../agent/usage/report.ts'
import type { UsageReports } from '../../../agent/usage/report.ts'
import type { UsagePeriod } from '../../../agent/contract/usage.ts'
import { periodsOf } from '../../../agent/images/usage/periods.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { problemCode, ProblemError } from '../../../protocol/problems.ts'
import type { Usage } from '../../../protocol/images/usage.ts'
import { openImageStore, seededBytes } from '../../support/images/image-store.ts'
import type { ImageStore } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { createRandom, runSeed } from '../../support/properties.ts'

setDefaultTimeout(120_000)

const HOUR = 3_600_000
const DAY = 24 * HOUR
const START = Date.parse('2026-11-30T18:00:00Z')
const ms = (text: string): number => Date.parse(text)
const ALL = { limit: 1000, cursor: undefined }

/** A store in a folder whose wall time the test sets; sleeps are real. Opening it again is a restart. */
async function openStore(folder: TemporaryFolder, time: { now: number }, price = ''): Promise<{ store: ImageStore; reports: UsageReports } & AsyncDisposable> {
  const clock = { ...systemClock, nowMs: () => time.now }
  const store = await openImageStore(folder, { clock })
  const reports = createUsageReports({ clock, ledger: store.ledger, snapshot: () => store.catalogue.usage(), pricePerGbMonth: price })
  return { store, reports, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}

function report(reports: UsageReports, from: string | number, to: string | number, owner?: string | null): Promise<Usage> {
  const at = (moment: string | number): number => (typeof moment === 'number' ? moment : ms(moment))
  return reports.report({ fromMs: at(from), toMs: at(to), owner, isOwn: false }, ALL)
}

const periods = ({ items }: Usage) => items.map(({ owner, from, to }) => ({ owner, from, to }))

describe('a period', () => {
  test('lasts from available to deletion, and not in the recycle bin', async () => {
    await using folder = await createTemporaryFolder()
    const time = { now: START }
    await using opened = await openStore(folder, time)
    const { store, reports } = opened
    const { id } = await store.add(seededBytes(5000, 1), { owner: 'ann', name: 'web', kind: 'template' })
    time.now += 2 * HOUR
    await store.catalogue.delete(id, 'test')
    time.now += 10 * HOUR
    await store.catalogue.restore(id, 'test')
    time.now += HOUR
    const usage = await report(reports, '2026-11-01T00:00:00Z', '2027-01-01T00:00:00Z')
    expect(periods(usage)).toEqual([
      { owner: 'ann', from: '2026-11-30T18:00:00.000Z', to: '2026-11-30T20:00:00.000Z' },
      { owner: 'ann', from: '2026-12-01T06:00:00.000Z', to: '2026-12-01T07:00:00.000Z' },
    ])
    expect(usage.items[0]).toMatchObject({ month: '2026-11', imageId: id, name: 'web', kind: 'template', length: 5000, gbHours: '0.000010' })
    expect(usage.total.byteMilliseconds).toBe(String(5000 * 3 * HOUR))
    expect(usage.months.map(({ month, hours, byteMilliseconds }) => [month, hours, byteMilliseconds])).toEqual([
      ['2026-11', 720, String(5000 * 2 * HOUR)],
      ['2026-12', 744, String(5000 * HOUR)],
    ])
    expect(usage.asOf).toBe('2026-12-01T07:00:00.000Z')
  })

  test('is split by a change of owner, and by the end of a month', async () => {
    await using folder = await createTemporaryFolder()
    const time = { now: START }
    await using opened = await openStore(folder, time)
    const { store, reports } = opened
    const { id } = await store.add(seededBytes(5000, 1), { owner: 'ann' })
    time.now += 4 * HOUR
    await store.catalogue.patch(id, { owner: null }, 'test')
    time.now += 4 * HOUR
    await store.catalogue.patch(id, { owner: 'bob', name: 'new' }, 'test')
    // A change of the name alone splits nothing.
    time.now += HOUR
    await store.catalogue.patch(id, { name: 'newer' }, 'test')
    time.now += HOUR
    await store.catalogue.purge(id, 'test')
    time.now += DAY
    const range = ['2026-11-01T00:00:00Z', '2027-01-01T00:00:00Z'] as const
    expect(periods(await report(reports, ...range))).toEqual([
      { owner: 'ann', from: '2026-11-30T18:00:00.000Z', to: '2026-11-30T22:00:00.000Z' },
      { owner: null, from: '2026-11-30T22:00:00.000Z', to: '2026-12-01T00:00:00.000Z' },
      { owner: null, from: '2026-12-01T00:00:00.000Z', to: '2026-12-01T02:00:00.000Z' },
      { owner: 'bob', from: '2026-12-01T02:00:00.000Z', to: '2026-12-01T04:00:00.000Z' },
    ])
    expect((await report(reports, ...range, 'bob')).total.byteMilliseconds).toBe(String(5000 * 2 * HOUR))
    expect((await report(reports, ...range, null)).total.byteMilliseconds).toBe(String(5000 * 4 * HOUR))
    expect((await report(reports, ...range, 'cid')).items).toEqual([])
  })

  test('follows from the times of an image.json that an earlier agent wrote', async () => {
    await using folder = await createTemporaryFolder()
    const time = { now: START }
    await using opened = await openStore(folder, time)
    const { id } = await opened.store.add(seededBytes(5000, 1), { owner: 'ann' })
    const stored = { image: opened.store.catalogue.need(id), life: { usage: null } }
    const derived = (image: object): UsagePeriod[] => periodsOf({ ...stored, image: { ...stored.image, ...image } })
    expect(derived({})).toMatchObject([{ owner: 'ann', fromMs: START, toMs: null, length: 5000 }])
    expect(derived({ deletedAt: '2026-12-01T00:00:00Z', status: 'deleted' })).toMatchObject([{ fromMs: START, toMs: START + 6 * HOUR }])
    expect(derived({ availableAt: null })).toEqual([])
  })

  test('moves to the ledger when there are many, and counts once', async () => {
    await using folder = await createTemporaryFolder()
    const time = { now: START }
    await using opened = await openStore(folder, time)
    const { store, reports } = opened
    const { id } = await store.add(seededBytes(5000, 1), { owner: 'ann' })
    for (let i = 0; i < 230; i++) {
      time.now += HOUR
      await store.catalogue.patch(id, { owner: i % 2 === 0 ? 'bob' : 'ann' }, 'test')
    }
    const usage = await report(reports, START, time.now)
    expect(usage.total.byteMilliseconds).toBe(String(5000 * 230 * HOUR))
    expect((await report(reports, START, time.now, 'ann')).total.byteMilliseconds).toBe(String(5000 * 115 * HOUR))
    const json = await Bun.file(folder.file('mount', 'images', id, 'image.json')).text()
    expect(json.length).toBeLessThan(20_000)
  })
})

describe('a clock that is set back', () => {
  test('neither loses nor doubles anything', async () => {
    await using folder = await createTemporaryFolder()
    const time = { now: START }
    await using opened = await openStore(folder, time)
    const { store, reports } = opened
    const { id } = await store.add(seededBytes(5000, 1), { owner: 'ann' })
    time.now += 5 * HOUR
    await store.catalogue.delete(id, 'test')
    // Restored three hours before it was deleted: the three hours are not counted again.
    time.now -= 3 * HOUR
    await store.catalogue.restore(id, 'test')
    time.now += 4 * HOUR
    const whole = await report(reports, START - DAY, START + DAY)
    expect(whole.total.byteMilliseconds).toBe(String(5000 * 6 * HOUR))
    // An image that becomes available and is deleted before that time has a period without a length.
    time.now = START - HOUR
    await store.catalogue.delete(id, 'test')
    expect((await report(reports, START - DAY, START + DAY)).total.byteMilliseconds).toBe(String(5000 * 5 * HOUR))
  })
})

describe('the rows', () => {
  test('come page by page, each once, with the sums of the whole range on every page', async () => {
    await using folder = await createTemporaryFolder()
    const time = { now: START }
    await using opened = await openStore(folder, time)
    const { store, reports } = opened
    for (let i = 0; i < 5; i++) await store.add(seededBytes(1000, i), { owner: 'ann' })
    time.now += 12 * HOUR
    const range = { fromMs: START, toMs: time.now, owner: undefined, isOwn: false }
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await reports.report(range, { limit: 3, cursor })
      expect(page.total.byteMilliseconds).toBe(String(5 * 1000 * 12 * HOUR))
      seen.push(...page.items.map(({ imageId, month }) => `${imageId} ${month}`))
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
    expect(seen).toHaveLength(10)
    expect(new Set(seen).size).toBe(10)
    expect(seen).toEqual(seen.toSorted())
    const rows: string[] = []
    for await (const row of reports.rows(range)) rows.push(`${row.imageId} ${row.month}`)
    expect(rows.toSorted()).toEqual(seen)
  })

  test('of an image that is removed while the report runs are those of its start', async () => {
    await using folder = await createTemporaryFolder()
    const time = { now: START }
    await using opened = await openStore(folder, time)
    const { store, reports } = opened
    const ids: string[] = []
    for (let i = 0; i < 3; i++) ids.push((await store.add(seededBytes(1000, i))).id)
    time.now += HOUR
    const found: string[] = []
    for await (const row of reports.rows({ fromMs: START, toMs: time.now, owner: undefined, isOwn: false })) {
      found.push(row.imageId)
      if (found.length === 1) for (const id of ids) await store.catalogue.purge(id, 'test')
    }
    expect(found.toSorted()).toEqual(ids.toSorted())
    expect((await report(reports, START, time.now)).items.map(({ imageId }) => imageId)).toEqual(ids.toSorted())
  })

  test('are refused while too many reports run, and accepted once one was left', async () => {
    const reports = createUsageReports({ clock: systemClock, ledger: { async *records() {} }, snapshot: () => imagesOf(null), pricePerGbMonth: '' })
    const range = { fromMs: 0, toMs: HOUR, owner: undefined, isOwn: false }
    const held = Array.from({ length: USAGE_REPORTS_MAX }, () => reports.rows(range))
    for (const rows of held) await rows.next()
    const refusal = await reports.report(range, ALL).catch((error: unknown) => error)
    expect(refusal instanceof ProblemError && problemCode(refusal.problem)).toBe('limit-reached')
    await held[0]?.return(undefined)
    expect((await reports.report(range, ALL)).items).toHaveLength(1)
  })

  test('for owners are limited by themselves: two in all, one for each owner, and operators do not wait for them', async () => {
    const reports = createUsageReports({ clock: systemClock, ledger: { async *records() {} }, snapshot: () => imagesOf('ann', 'bob'), pricePerGbMonth: '' })
    const ofOwner = (owner: string) => ({ fromMs: 0, toMs: HOUR, owner, isOwn: true })
    const codeOf = async (owner: string): Promise<unknown> =>
      reports.report(ofOwner(owner), ALL).then(
        ({ items }) => items.length,
        (error: unknown) => error instanceof ProblemError && problemCode(error.problem),
      )
    const held = ['ann', 'bob'].map((owner) => reports.rows(ofOwner(owner)))
    await held[0]?.next()
    expect([await codeOf('ann'), await codeOf('bob')]).toEqual(['limit-reached', 1])
    await held[1]?.next()
    expect([await codeOf('bob'), await codeOf('cid')]).toEqual(['limit-reached', 'limit-reached'])
    expect((await reports.report({ fromMs: 0, toMs: HOUR, owner: undefined, isOwn: false }, ALL)).items).toHaveLength(2)
    await held[0]?.return(undefined)
    expect([await codeOf('ann'), await codeOf('cid'), await codeOf('bob')]).toEqual([1, 0, 'limit-reached'])
  })
})

/** One image for each owner. */
function imagesOf(...owners: readonly (string | null)[]) {
  const periodOf = (owner: string | null): UsagePeriod => ({
    imageId: `img_${owner}`,
    name: 'a',
    kind: 'disk',
    owner,
    length: 1,
    storedSize: null,
    fromMs: 0,
    toMs: HOUR,
  })
  return { periods: () => owners.map(periodOf), has: () => false }
}

/** What a model expects of one image. */
interface Model {
  owner: string
  since: number | undefined
  until: number
}

test('any history gives the sums of a model, after any restart, and adjacent ranges add up to the whole', async () => {
  const seed = runSeed()
  for (let run = 0; run < 4; run++) {
    const random = createRandom(seed + run)
    await using folder = await createTemporaryFolder()
    const time = { now: START }
    let opened = await openStore(folder, time, '0.07')
    const LENGTH = 4096
    const models = new Map<string, Model>()
    const sums = new Map<string, bigint>()
    const end = (model: Model): void => {
      if (model.since === undefined) return
      model.until = Math.max(model.since, time.now)
      sums.set(model.owner, (sums.get(model.owner) ?? 0n) + BigInt(LENGTH) * BigInt(model.until - model.since))
      model.since = undefined
    }
    const begin = (model: Model): void => {
      model.since ??= Math.max(model.until, time.now)
    }
    try {
      for (let step = 0; step < 40; step++) {
        time.now += random.chance(0.2) ? -random.below(2 * HOUR) : random.below(2 * DAY)
        const ids = [...models.keys()]
        const id = ids.length > 0 ? random.pick(ids) : undefined
        const model = id === undefined ? undefined : models.get(id)
        const { catalogue } = opened.store
        const status = id === undefined ? undefined : catalogue.find(id)?.status
        const action = random.below(10)
        if (id === undefined || !model || action < 2) {
          const made: Model = { owner: random.pick(['ann', 'bob']), since: undefined, until: 0 }
          const image = await opened.store.add(seededBytes(LENGTH, step), { owner: made.owner })
          begin(made)
          models.set(image.id, made)
        } else if (action < 4 && status === 'available') {
          await catalogue.delete(id, 'test')
          end(model)
        } else if (action < 6 && status === 'deleted') {
          await catalogue.restore(id, 'test')
          begin(model)
        } else if (action < 8) {
          const owner = random.pick(['ann', 'bob', 'cid'])
          await catalogue.patch(id, { owner }, 'test')
          if (owner !== model.owner && model.since !== undefined) {
            end(model)
            begin(model)
          }
          model.owner = owner
        } else if (action === 8) {
          await catalogue.purge(id, 'test')
          end(model)
          models.delete(id)
        } else {
          await opened[Symbol.asyncDispose]()
          opened = await openStore(folder, time, '0.07')
        }
      }
      for (const model of models.values()) end(model)
      const [fromMs, toMs] = [START - DAY, START + 120 * DAY]
      const usage = await report(opened.reports, fromMs, toMs)
      const expected = [...sums.values()].reduce((sum, bytes) => sum + bytes, 0n)
      expect({ seed: seed + run, sum: usage.total.byteMilliseconds }).toEqual({ seed: seed + run, sum: expected.toString() })
      for (const owner of ['ann', 'bob', 'cid'])
        expect((await report(opened.reports, fromMs, toMs, owner)).total.byteMilliseconds).toBe(String(sums.get(owner) ?? 0n))
      const months = usage.months.reduce((sum, month) => sum + BigInt(month.byteMilliseconds), 0n)
      expect(months).toBe(expected)
      const cut = fromMs + random.below(toMs - fromMs)
      const parts = [await report(opened.reports, fromMs, cut), await report(opened.reports, cut, toMs)]
      expect(parts.reduce((sum, { total }) => sum + BigInt(total.byteMilliseconds), 0n)).toBe(expected)
    } finally {
      await opened[Symbol.asyncDispose]()
    }
  }
})
