// The bodies that are being read. One timer, which runs only while there are any, makes each check the time.

import type { Clock } from '../../contract/runtime.ts'
import type { BodyReader } from './body-reader.ts'

/** How often the readers check the time, in milliseconds. */
const TICK_MS = 250

export interface BodyReaders extends Iterable<BodyReader> {
  readonly size: number
  add(reader: BodyReader): void
  delete(reader: BodyReader): void
}

/** Creates an empty set. It needs no disposal once it is empty again. */
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
