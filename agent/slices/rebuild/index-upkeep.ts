// Keeps the index database usable while the store is: its filter of known slices, the check of its file, and its making anew when it
// turns out to be damaged, which happens in the background and without anybody asking.

import { createInOrder } from '../../contract/in-order.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { IndexDatabase } from '../index/index-database.ts'
import { createIndexRebuild } from './index-rebuild.ts'
import type { IndexRebuild, IndexRebuildDeps } from './index-rebuild.ts'

/** Up to this many slices the start waits for the filter; it takes well under a second. */
const FILTER_AWAITED_MAX = 200_000
/** How often the filter is looked at: a store grows by far less than its capacity in this time. */
const FILTER_CHECK_MS = 5000
/** How long to wait with another attempt when the index could not be made anew, as when the state folder is full. */
const RETRY_MS = 60_000

export interface IndexUpkeepDeps extends Omit<IndexRebuildDeps, 'buildFilter' | 'signal'> {
  readonly clock: Clock
  readonly log: Log
  readonly index: IndexDatabase
  /** Told of a filter that is whole. */
  readonly onFilter: () => void
}

export interface IndexUpkeep extends Pick<IndexRebuild, 'progress'>, AsyncDisposable {
  /** Makes the index anew when it is damaged, after everything that runs exclusively; resolves when it is whole. */
  heal(): Promise<void>
  /** Runs work that must not overlap with a rebuild, one call at a time. The work is given the function that rebuilds the index within it. */
  runExclusive<Result>(run: (heal: () => Promise<void>) => Promise<Result>): Promise<Result>
}

/** Begins with the filter; resolves when it is whole, or would take long. */
export async function openIndexUpkeep(deps: IndexUpkeepDeps): Promise<IndexUpkeep> {
  const { clock, log, index } = deps
  const closing = new AbortController()

  // Until the filter is whole every look-up asks the database, which is slower and as right.
  let filtered: Promise<void> = Promise.resolve()
  const buildFilter = (isWanted: () => boolean = () => true): Promise<void> => {
    filtered = filtered.then(async () => {
      if (!isWanted()) return
      try {
        await index.rebuildFilter(closing.signal)
        deps.onFilter()
      } catch (error) {
        if (!closing.signal.aborted) log.error('the filter of known slices could not be built; ingest is slower', { error })
      }
    })
    return filtered
  }

  const rebuild = createIndexRebuild({ ...deps, buildFilter, signal: closing.signal })
  const exclusive = createInOrder()
  const heal = (): Promise<void> => (index.isIncomplete ? exclusive.run(rebuild.heal) : Promise.resolve())
  let healing: Promise<void> | undefined
  const healInBackground = (): void => {
    healing ??= heal()
      .catch((error: unknown) => {
        if (!closing.signal.aborted) log.error('the index database could not be made anew; it is tried again', { error })
      })
      .finally(() => (healing = undefined))
  }
  index.watch({
    distrusted(reason) {
      log.error('the index database is damaged and is made anew from the packs', { reason })
      deps.onDamaged(reason)
      healInBackground()
    },
    untidy: (error) => log.warn('runs of the index database could not be merged; it is tried again', { error }),
  })

  const whole = buildFilter()
  if (index.sliceCount < FILTER_AWAITED_MAX) await whole
  const filterWatch = clock.every(FILTER_CHECK_MS, () => {
    if (index.isFilterWorn) void buildFilter(() => index.isFilterWorn)
  })
  const retry = clock.every(RETRY_MS, () => {
    if (index.isIncomplete) healInBackground()
  })

  return {
    get progress() {
      return rebuild.progress
    },
    heal,
    runExclusive: (run) => exclusive.run(() => run(rebuild.heal)),
    async [Symbol.asyncDispose]() {
      closing.abort()
      filterWatch[Symbol.dispose]()
      retry[Symbol.dispose]()
      await healing
      await exclusive.idle()
      await filtered
    },
  }
}
