// Pins protect slices from gc from the moment they are stored or found until something durable names them.

import { filterBytes, viewFilter } from '../index/filter.ts'
import type { Filter } from '../index/filter.ts'
import { createLiveSet } from './live-set.ts'
import { sliceKey } from '../packs/slice-row.ts'

/** Slices that a watch records exactly, in 16 MiB; further ones go into a filter. */
const TOUCHED_EXACT_MAX = 1024 * 1024
/** Capacity of that filter at 16 bits each: 64 MiB, allocated when it is needed. */
const TOUCHED_FILTER_CAPACITY = 32 * 1024 * 1024
const TOUCHED_FILTER_BITS = 16

/** All pins of a store, and the watches with which a running gc sees what was pinned since it started. */
export interface Pins {
  /** Creates a hold, which releases its pins together. */
  hold(): PinHold
  has(digest: Uint8Array): boolean
  /** Starts a watch: until it is disposed, every slice that is or becomes pinned counts as touched, also after its release. */
  watch(): PinWatch
}

export interface PinHold {
  add(digest: Uint8Array): void
  /** Moves all pins held so far into a batch of its own; returns the function that releases the batch. */
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
 * Creates the set of slices touched during a gc, in bounded memory: a gc in parallel with a sync of fifty million slices sees all of them. A false
 * positive keeps one slice too many, which is harmless.
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
