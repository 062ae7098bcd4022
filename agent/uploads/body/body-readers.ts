// The bodies that are being received. Each looks at the time at a fixed interval, by one timer that runs only while there
// are any.

import type { Clock } from '../../contract/runtime.ts'
import type { BodyReader } from './body-reader.ts'

/** How often bodyReaders look at the time, in milliseconds. */
const TICK_MS = 250

export interface BodyReaders extends Iterable<BodyReader> {
  readonly size: number
  add(reader: BodyReader): void
  delete(reader: BodyReader): void
}

/** Creates the set; it needs no disposal once it is empty. */
export function createBodyReaders(clock: Pick<Clock, 'every'>): BodyReaders {
  const all = new Set<BodyReader>()
  let ticker: Disposable | undefined
  return {
    get size() {
      return all.size
    },
    add(reader) {
      all.add(reader)
      ticker ??= clock.every(TICK_MS, () => {
        for (const each of all) each.tick()
      })
    },
    delete(reader) {
      all.delete(reader)
      if (all.size > 0) return
      ticker?.[Symbol.dispose]()
      ticker = undefined
    },
    [Symbol.iterator]: () => all[Symbol.iterator](),
  }
}
