// The bodies that are being received. Each looks at the time at a fixed interval, by one timer that runs only while there
// are any.

import type { Clock } from '../../contract/runtime.ts'
import type { Reception } from './body-reader.ts'

/** How often receptions look at the time, in milliseconds. */
const TICK_MS = 250

export interface Receptions extends Iterable<Reception> {
  readonly size: number
  add(reception: Reception): void
  delete(reception: Reception): void
}

/** Creates the set; it needs no disposal once it is empty. */
export function createReceptions(clock: Pick<Clock, 'every'>): Receptions {
  const all = new Set<Reception>()
  let ticker: Disposable | undefined
  return {
    get size() {
      return all.size
    },
    add(reception) {
      all.add(reception)
      ticker ??= clock.every(TICK_MS, () => {
        for (const each of all) each.tick()
      })
    },
    delete(reception) {
      all.delete(reception)
      if (all.size > 0) return
      ticker?.[Symbol.dispose]()
      ticker = undefined
    },
    [Symbol.iterator]: () => all[Symbol.iterator](),
  }
}
