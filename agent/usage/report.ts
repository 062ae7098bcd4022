// Reports usage: cuts the periods of all images, existing and removed, to a range and to calendar months, and adds them up. Nothing is kept between
// reports, so a restart changes nothing.

import type { Usage, UsageRow } from '../../protocol/images/usage.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { createLoopBudget } from '../contract/loop-budget.ts'
import type { Clock } from '../contract/runtime.ts'
import type { UsagePeriod, UsageRecords, UsageSnapshot } from '../contract/usage.ts'
import { addTo, figuresOf, monthsOf, noSum, parsePrice } from './figures.ts'
import type { MonthPart, Price, Sum } from './figures.ts'

/** Reports for operators in progress at the same time. Each reads the ledger and visits every image. */
export const USAGE_REPORTS_MAX = 2
/** Reports for owners in progress at the same time, one for each owner. Operators do not wait for them. */
export const OWN_USAGE_REPORTS_MAX = 2
/** Rows that a report holds for its page before it drops all that are not on it, as a multiple of the page. */
const HELD_PAGES = 4

export interface UsageRange {
  readonly fromMs: number
  readonly toMs: number
  /** Null selects images without an owner; undefined selects all. */
  readonly owner: string | null | undefined
  /** Whether the owner asks, and no operator. */
  readonly isOwn: boolean
}

export interface UsagePage {
  readonly limit: number
  /** Key of the last row of the previous page. */
  readonly cursor: string | undefined
}

export interface UsageReports {
  /** Returns the sums of a range and one page of its rows, ordered by image and start. Throws ProblemError `limit-reached`. */
  report(range: UsageRange, page: UsagePage): Promise<Usage>
  /** Yields all rows of a range, unordered. Throws ProblemError `limit-reached` at the first row. */
  rows(range: UsageRange): AsyncGenerator<UsageRow>
}

export interface UsageReportsDeps {
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs' | 'sleep'>
  readonly ledger: UsageRecords
  /** Returns the periods of all existing images. */
  readonly snapshot: () => UsageSnapshot
  /** Decimal number; empty for no price. */
  readonly pricePerGbMonth: string
}

/** One period, or its part in one month, before it is written. */
interface Part {
  readonly period: UsagePeriod
  readonly month: MonthPart
  readonly fromMs: number
  readonly toMs: number
}

/** Creates the reports of a store. */
export function createUsageReports(deps: UsageReportsDeps): UsageReports {
  const price = deps.pricePerGbMonth === '' ? undefined : parsePrice(deps.pricePerGbMonth)
  const acquire = createReportSlots()
  return {
    async report(range, page) {
      using _slot = acquire(range)
      return await reportOf(deps, price, { range, page })
    },
    async *rows(range) {
      using _slot = acquire(range)
      for await (const part of partsOf(deps, range, { nowMs: deps.clock.nowMs(), onDamaged() {} })) yield rowOf(part, price)
    },
  }
}

/** Creates the slots of reports. Throws ProblemError `limit-reached` when none is free. */
function createReportSlots(): (range: UsageRange) => Disposable {
  let running = 0
  const owners = new Set<string | null | undefined>()
  const refuse = (detail: string): never => {
    throw problem('limit-reached', detail, { action: 'Ask again when one of them has ended.' })
  }
  return ({ owner, isOwn }) => {
    if (!isOwn) {
      if (running >= USAGE_REPORTS_MAX) refuse(`${running} usage reports are in progress; the limit is ${USAGE_REPORTS_MAX}.`)
      running++
      return { [Symbol.dispose]: () => void running-- }
    }
    if (owners.has(owner)) refuse('A usage report for you is in progress; the limit is 1.')
    if (owners.size >= OWN_USAGE_REPORTS_MAX) refuse(`${owners.size} usage reports for owners are in progress; the limit is ${OWN_USAGE_REPORTS_MAX}.`)
    owners.add(owner)
    return { [Symbol.dispose]: () => void owners.delete(owner) }
  }
}

async function reportOf(
  deps: UsageReportsDeps,
  price: Price | undefined,
  { range, page }: { readonly range: UsageRange; readonly page: UsagePage },
): Promise<Usage> {
  const nowMs = deps.clock.nowMs()
  const total = noSum()
  const months = new Map<string, { readonly part: MonthPart; readonly sum: Sum }>()
  for (const part of monthsOf(range.fromMs, range.toMs)) months.set(part.month, { part, sum: noSum() })
  const rows = createPageRows(page)
  let damagedRecords = 0
  for await (const part of partsOf(deps, range, { nowMs, onDamaged: (count) => (damagedRecords = count) })) {
    const used = usedBy(part)
    addTo(total, part.month, used)
    const month = months.get(part.month.month)
    if (month) addTo(month.sum, part.month, used)
    rows.add(part)
  }
  const { parts, next } = rows.end()
  return {
    from: formatTime(range.fromMs),
    to: formatTime(range.toMs),
    asOf: formatTime(nowMs),
    owner: range.owner,
    pricePerGbMonth: price?.text ?? null,
    total: sumOf(total, price),
    months: [...months.values()].map(({ part, sum }) => ({ month: part.month, hours: part.days * 24, ...sumOf(sum, price) })),
    damagedRecords,
    items: parts.map((part) => rowOf(part, price)),
    next,
  }
}

function sumOf(sum: Sum, price: Price | undefined): Usage['total'] {
  return { ...figuresOf(sum, price), byteMilliseconds: sum.byteMs.toString() }
}

/** Yields every period of a range, cut to it and to months. An image that is available until `nowMs` counts until then. */
async function* partsOf(
  deps: UsageReportsDeps,
  { fromMs, toMs, owner }: UsageRange,
  { nowMs, onDamaged }: { readonly nowMs: number; readonly onDamaged: (count: number) => void },
): AsyncGenerator<Part> {
  // The snapshot is taken first: an image that is removed meanwhile is in it, and its record in the ledger is skipped.
  const snapshot = deps.snapshot()
  const budget = createLoopBudget(deps.clock)
  const partsOfOne = function* (period: UsagePeriod): Generator<Part> {
    if (owner !== undefined && period.owner !== owner) return
    const startMs = Math.max(fromMs, period.fromMs)
    const endMs = Math.min(toMs, period.toMs ?? nowMs)
    for (const month of monthsOf(startMs, endMs)) yield { period, month, fromMs: month.fromMs, toMs: month.toMs }
  }
  for (const period of snapshot.periods()) {
    yield* partsOfOne(period)
    const pause = budget.spend()
    if (pause) await pause
  }
  for await (const period of deps.ledger.records(fromMs, onDamaged)) if (!snapshot.has(period.imageId, period.fromMs)) yield* partsOfOne(period)
}

function usedBy({ period, fromMs, toMs }: Part): { length: number; storedSize: number | null; ms: number } {
  return { length: period.length, storedSize: period.storedSize, ms: toMs - fromMs }
}

function rowOf(part: Part, price: Price | undefined): UsageRow {
  const sum = noSum()
  addTo(sum, part.month, usedBy(part))
  const { imageId, name, kind, owner, length, storedSize } = part.period
  const times = { from: formatTime(part.fromMs), to: formatTime(part.toMs) }
  return { month: part.month.month, imageId, name, kind, owner, ...times, length, storedSize, ...figuresOf(sum, price) }
}

/** Collects one page of rows. Holds a few pages at most, whatever the number of rows. */
function createPageRows({ limit, cursor }: UsagePage): { add(part: Part): void; end(): { parts: Part[]; next: string | null } } {
  let held: { readonly key: string; readonly part: Part }[] = []
  const cut = (count: number): void => {
    held = held.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).slice(0, count)
  }
  return {
    add(part) {
      const key = `${part.period.imageId}-${formatTime(part.fromMs)}`
      if (cursor !== undefined && key <= cursor) return
      held.push({ key, part })
      if (held.length > HELD_PAGES * (limit + 1)) cut(limit + 1)
    },
    end() {
      cut(limit + 1)
      const page = held.slice(0, limit)
      return { parts: page.map(({ part }) => part), next: held.length > limit ? (page.at(-1)?.key ?? null) : null }
    },
  }
}
