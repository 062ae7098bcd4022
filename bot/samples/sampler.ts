// Takes a sample of every store each minute while the service runs.

import type { Registry } from '../fleet/registry.ts'
import type { Sighting } from '../fleet/states.ts'
import type { Clock } from '../system/clock.ts'
import type { Log } from '../system/log.ts'
import { MINUTE_MS } from './keys.ts'
import { countersOf, sampleOf } from './reading.ts'
import type { Counters } from './reading.ts'
import type { Sample } from './sample.ts'
import type { Samples } from './samples.ts'

/** Interval at which the end of a minute is noticed, in milliseconds: timers drift, and a minute must not be left out. */
const TICK_MS = 5_000

export interface SamplerDeps {
  readonly samples: Pick<Samples, 'record'>
  readonly registry: Pick<Registry, 'list'>
  readonly clock: Pick<Clock, 'nowMs' | 'every'>
  readonly log: Log
}

export interface Sampler extends Disposable {
  /** Takes what the connections saw. */
  saw(sightings: readonly Sighting[]): void
}

/** Samples until it is disposed. */
export function runSampler({ samples, registry, clock, log }: SamplerDeps): Sampler {
  const seen = new Map<string, Sighting>()
  let counters = new Map<string, Counters>()
  let minute = Math.floor(clock.nowMs() / MINUTE_MS)
  const take = (nowMs: number): void => {
    const taken = new Map<string, Sample>()
    const next = new Map<string, Counters>()
    const stores = registry.list()
    for (const { name, storeId } of stores) {
      const last = seen.get(name)
      // A store that never answered has no id; two records of one store count once.
      if (!last || storeId === null || taken.has(storeId)) continue
      const sighting: Sighting = { ...last, store: { ...last.store, storeId } }
      const sample = sampleOf(sighting, counters.get(storeId), nowMs)
      if (!sample) continue
      taken.set(storeId, sample)
      const read = countersOf(sighting)
      if (read) next.set(storeId, read)
    }
    const names = new Set(stores.map(({ name }) => name))
    for (const name of seen.keys()) if (!names.has(name)) seen.delete(name)
    counters = next
    samples.record(taken, nowMs)
  }
  const timer = clock.every(TICK_MS, () => {
    const nowMs = clock.nowMs()
    const current = Math.floor(nowMs / MINUTE_MS)
    if (current === minute) return
    minute = current
    try {
      take(nowMs)
    } catch (error) {
      // The minute is a gap; the next one is tried again.
      log.error('samples could not be written', { error })
    }
  })
  return {
    saw(sightings) {
      for (const sighting of sightings) seen.set(sighting.store.name, sighting)
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  }
}
