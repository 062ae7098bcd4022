// Derives the usage of an image from its changes. A period starts when the image becomes available and ends when it is deleted, also into the recycle
// bin. A change of owner ends one period and starts another. Damage does not end a period: the bytes are kept.

import type { Image } from '../../../protocol/images/image.ts'
import type { EndedPeriod, UsagePeriod, UsageSnapshot } from '../../contract/usage.ts'
import type { UsageState } from './usage-state.ts'

/** An image with its usage, as the catalogue stores it. */
interface Accountable {
  readonly image: Image
  readonly life: { readonly usage: UsageState | null }
}

/** Returns the usage of an image after a change to `next`; `before` is its present state, or undefined for a new image. */
export function usageAfter(next: Accountable, before: Accountable | undefined, nowMs: number): UsageState {
  const { image, life } = before ?? next
  return accounted(life.usage ?? derived(image), { image: next.image, before: image, nowMs })
}

/** Returns the periods of an image, the earliest first. */
export function periodsOf(stored: Accountable): UsagePeriod[] {
  const { id: imageId, name, kind, storedSize } = stored.image
  const { ended, running } = stored.life.usage ?? derived(stored.image)
  const common = { imageId, name, kind }
  const periods: UsagePeriod[] = ended.map((period) => ({ imageId, ...period, name: period.name ?? name, kind: period.kind ?? kind }))
  if (running) periods.push({ ...common, ...running, storedSize, toMs: null })
  return periods
}

/** Returns the ended periods of an image. */
export function endedPeriodsOf(stored: Accountable): EndedPeriod[] {
  return periodsOf(stored).flatMap((period) => (period.toMs === null ? [] : [{ ...period, toMs: period.toMs }]))
}

/** Returns the periods of all these images at this moment. */
export function createUsageSnapshot(images: Iterable<Accountable>): UsageSnapshot {
  const all = [...images]
  /** Filled while the periods are visited: all at once would keep the event loop busy in a large store. */
  const byId = new Map<string, Accountable>()
  return {
    *periods() {
      for (const stored of all) {
        byId.set(stored.image.id, stored)
        yield* periodsOf(stored)
      }
    },
    has(imageId, fromMs) {
      if (byId.size < all.length) throw new Error('the periods of the snapshot were not all visited')
      const stored = byId.get(imageId)
      return stored !== undefined && periodsOf(stored).some((period) => period.fromMs === fromMs)
    },
  }
}

interface Accounted {
  readonly image: Image
  /** The image until this change. A period that ends has its stored size. */
  readonly before: Image
  readonly nowMs: number
}

function accounted(state: UsageState, { image, before, nowMs }: Accounted): UsageState {
  const { running, untilMs } = state
  const owner = image.owner || null
  const isOver = image.status === 'deleted' || image.status === 'deleting'
  const isServed = image.status === 'available' || image.status === 'degraded'
  const isOther = running !== null && (running.owner !== owner || (isServed && running.length !== image.length))
  let next = state
  if (running && (isOver || isOther)) {
    const endMs = image.status === 'deleted' && image.deletedAt !== null ? Date.parse(image.deletedAt) : nowMs
    const toMs = Math.max(running.fromMs, endMs)
    next = { ended: [...state.ended, { ...running, storedSize: before.storedSize, toMs }], running: null, untilMs: toMs }
  }
  if ((before.owner || null) !== owner) next = { ...next, ended: next.ended.map((period) => ({ name: before.name, kind: before.kind, ...period })) }
  if (next.running || isOver || !(isServed || isOther)) return next
  const isFirst = untilMs === 0 && !isOther && image.availableAt !== null
  const startMs = isFirst ? Date.parse(image.availableAt ?? '') : nowMs
  return { ...next, running: { owner, length: image.length, fromMs: Math.max(next.untilMs, startMs) } }
}

/** Returns the usage of an image whose image.json was written by an agent that kept none. */
function derived({ owner, length, storedSize, availableAt, deletedAt }: Image): UsageState {
  if (availableAt === null) return { ended: [], running: null, untilMs: 0 }
  const begun = { owner: owner || null, length, fromMs: Date.parse(availableAt) }
  if (deletedAt === null) return { ended: [], running: begun, untilMs: 0 }
  const toMs = Math.max(begun.fromMs, Date.parse(deletedAt))
  return { ended: [{ ...begun, storedSize, toMs }], running: null, untilMs: toMs }
}
