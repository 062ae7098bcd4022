// Pins keep slices from gc between the moment they are stored or found and the moment something durable names them.

import { filterBytes, viewFilter } from '../index/filter.ts'
import type { Filter } from '../index/filter.ts'
import { createLiveSet } from './live-set.ts'
import { sliceKey } from '../packs/slice-row.ts'

/** Slices that a watch tells apart, in 16 MiB; those touched beyond that go into a filter. */
const TOUCHED_EXACT_MAX = 1024 * 1024
/** Slices that the filter is made for, 16 bits each: 64 MiB, allocated when it is needed. */
const TOUCHED_FILTER_CAPACITY = 32 * 1024 * 1024
const TOUCHED_FILTER_BITS = 16

/** All pins of a store, and the watch that a running gc keeps over what was pinned since it began. */
export interface Pins {
  /** A holder of pins; `release` lets go of what it was given. */
  hold(): PinHold
  has(digest: Uint8Array): boolean
  /** From now until disposed every slice pinned, also those released meanwhile, is reported as touched. */
  watch(): PinWatch
}

export interface PinHold {
  add(digest: Uint8Array): void
  /** Moves all pins held so far into a batch that is released on its own. */
  take(): () => void
  release(): void
}

export interface PinWatch extends Disposable {
  isTouched(digest: Uint8Array): boolean
}

export function createPins(): Pins {
  const counts = new Map<string, number>()
  const watches = new Set<TouchedSlices>()

  const release = (keys: Iterable<string>): void => {
    for (const key of keys) {
      const count = counts.get(key) ?? 0
      if (count > 1) counts.set(key, count - 1)
      else counts.delete(key)
    }
  }

  return {
    hold() {
      let held = new Set<string>()
      return {
        add(digest) {
          const key = sliceKey(digest)
          for (const touched of watches) touched.add(digest)
          if (held.has(key)) return
          held.add(key)
          counts.set(key, (counts.get(key) ?? 0) + 1)
        },
        take() {
          const batch = held
          held = new Set()
          return () => {
            release(batch)
            batch.clear()
          }
        },
        release() {
          release(held)
          held.clear()
        },
      }
    },
    has: (digest) => counts.has(sliceKey(digest)),
    watch() {
      const touched = createTouchedSlices()
      for (const key of counts.keys()) touched.add(Buffer.from(key, 'latin1'))
      watches.add(touched)
      return {
        isTouched: (digest) => touched.has(digest),
        [Symbol.dispose]: () => void watches.delete(touched),
      }
    },
  }
}

interface TouchedSlices {
  add(digest: Uint8Array): void
  has(digest: Uint8Array): boolean
}

/**
 * The slices that were touched during a gc, in bounded memory: a gc beside a pull of an image of fifty million slices sees all of them, and one
 * kept too many costs nothing.
 */
function createTouchedSlices(): TouchedSlices {
  const exact = createLiveSet(0)
  let filter: Filter<ArrayBuffer> | undefined
  return {
    add(digest) {
      if (exact.size < TOUCHED_EXACT_MAX) return exact.add(digest)
      if (exact.has(digest)) return
      filter ??= viewFilter(new ArrayBuffer(filterBytes(TOUCHED_FILTER_CAPACITY, TOUCHED_FILTER_BITS)), TOUCHED_FILTER_CAPACITY)
      filter.add(digest)
    },
    has: (digest) => exact.has(digest) || (filter?.mayHave(digest) ?? false),
  }
}
