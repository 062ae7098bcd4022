// What the connections saw and was not written yet: the newest sighting and the events of each store. Written in one transaction at a time,
// so that a thousand stores cost one fsync a second.

import type { StoreEvent } from '../../protocol/event.ts'
import { KEPT_EVENTS_MAX } from './kept-events.ts'
import type { StreamProgress } from './kept-events.ts'
import type { Sighting } from './states.ts'

export interface Inbox {
  saw(sighting: Sighting): void
  /** Takes the progress of a stream: the last event that was read, and the event if it is new. */
  read(progress: Omit<StreamProgress, 'events'> & { readonly event?: StoreEvent }): void
  /** Forgets what was not written of a store. */
  drop(store: string): void
  /** Returns everything. */
  batch(): Batch
  /** Empties the inbox, after the batch was written. */
  clear(): void
}

export interface Batch {
  readonly sightings: readonly Sighting[]
  readonly progress: readonly StreamProgress[]
}

/** Creates an empty inbox. It holds one sighting and KEPT_EVENTS_MAX events of each store at most. */
export function createInbox(): Inbox {
  const sightings = new Map<string, Sighting>()
  const progress = new Map<string, StreamProgress>()
  return {
    saw: (sighting) => void sightings.set(sighting.store.name, sighting),
    read({ event, ...step }) {
      const before = step.isReset ? undefined : progress.get(step.store)
      const events = [...(before?.events ?? []), ...(event ? [event] : [])]
      progress.set(step.store, {
        ...step,
        events: events.slice(-KEPT_EVENTS_MAX),
        hasSkipped: step.hasSkipped || (before?.hasSkipped ?? false),
        isReset: step.isReset || (before?.isReset ?? false),
      })
    },
    drop(store) {
      sightings.delete(store)
      progress.delete(store)
    },
    batch: () => ({ sightings: [...sightings.values()], progress: [...progress.values()] }),
    clear() {
      sightings.clear()
      progress.clear()
    },
  }
}
