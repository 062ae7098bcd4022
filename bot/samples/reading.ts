// One minute of a store as a sample, from what was seen of it last and from the counters of the minute before.

import { judge } from '../fleet/judge.ts'
import { STATE_AGE_MAX_MS } from '../fleet/states.ts'
import type { Sighting } from '../fleet/states.ts'
import { MINUTE_MS } from './keys.ts'
import { bounded, NO_SAMPLE, UNIT_BYTES } from './sample.ts'
import type { Sample } from './sample.ts'

/** Counters that are further apart give no rate: the time between them is a gap, and not one long even stretch. */
const APART_MS_MAX = 150_000

/** The counters of an agent, and when they were read. */
export interface Counters {
  readonly received: number
  readonly served: number
  /** Since when the agent counts. */
  readonly since: string
  readonly asOfMs: number
}

/** Returns the sample of a minute; undefined when nothing is known of the store now. */
export function sampleOf(sighting: Sighting, before: Counters | undefined, nowMs: number): Sample | undefined {
  // A silence and a refusal last until the store is heard again.
  if (sighting.kind === 'answered' && nowMs - sighting.asOfMs > STATE_AGE_MAX_MS) return undefined
  const { state, store } = judge(sighting)
  const known = { ...NO_SAMPLE, [state]: 1 }
  if (!store) return known
  const { capacity, slices, scrubbedAt } = store
  const used = units(capacity.used)
  const scrubbedMs = typeof scrubbedAt === 'string' ? Date.parse(scrubbedAt) : 0
  return {
    ...known,
    measured: 1,
    spans: 1,
    total: units(capacity.total),
    used,
    usedMin: used,
    usedMax: used,
    stored: units(slices.storedBytes),
    images: units(slices.imageBytes),
    slices: bounded(slices.count),
    scrubbed: bounded(scrubbedMs / MINUTE_MS),
    ...ratesOf(before, countersOf(sighting)),
  }
}

/** Returns the counters of a store that answered; undefined for an agent that does not count, or when another store answered. */
export function countersOf(sighting: Sighting): Counters | undefined {
  if (sighting.kind !== 'answered') return undefined
  const traffic = judge(sighting).store?.traffic
  return traffic && { ...traffic, asOfMs: sighting.asOfMs }
}

/** Rates between two readings of the counters; nothing without both, or when they are too far apart. */
function ratesOf(before: Counters | undefined, now: Counters | undefined): Partial<Sample> {
  if (!before || !now) return {}
  const apartMs = now.asOfMs - before.asOfMs
  if (apartMs <= 0 || apartMs > APART_MS_MAX) return {}
  // An agent that was started again counts from 0: what it counted before its end is not known, and what it says now is new.
  const isReset = now.since !== before.since || now.received < before.received || now.served < before.served
  const rate = (member: 'received' | 'served'): number => bounded(((now[member] - (isReset ? 0 : before[member])) * 1000) / apartMs)
  const [ingest, egress] = [rate('received'), rate('served')]
  return { rated: 1, ratedSpans: 1, ingest, ingestMax: ingest, egress, egressMax: egress }
}

function units(bytes: number): number {
  return bounded(bytes / UNIT_BYTES)
}
