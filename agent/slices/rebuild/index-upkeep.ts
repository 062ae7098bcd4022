// Keeps the index database usable while the store is open: builds the filter of known slices, and starts a rebuild in the background
// when the index turns out to be damaged.

import { createInOrder } from '../../contract/in-order.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { IndexMaintenance } from '../index/index-roles.ts'
import { createIndexRebuilder } from './index-rebuild.ts'
import type { IndexRebuilder, IndexRebuilderDeps } from './index-rebuild.ts'

/** Up to this many slices, opening the store waits for the filter; building it takes well under a second. */
const FILTER_AWAITED_MAX = 200_000
/** How often the filter is checked, in milliseconds: in this time a store grows by far less than the capacity of its filter. */
const FILTER_CHECK_MS = 5000
/** How long to wait after a failed rebuild, as when the state folder is full, in milliseconds. */
const RETRY_MS = 60_000

export interface IndexUpkeepDeps extends Omit<IndexRebuilderDeps, 'buildFilter' | 'signal'> {
  readonly clock: Clock
  readonly log: Log
  readonly index: IndexMaintenance
  /** Called when a filter is complete. */
  readonly onFilter: () => void
}

export interface IndexUpkeep extends Pick<IndexRebuilder, 'progress'>, AsyncDisposable {
  /** Rebuilds the index when it is damaged, after everything that runs exclusively. Resolves when the index is intact. */
  rebuildIndex(): Promise<void>
  /** Runs work that must not overlap with a rebuild, one call at a time. The work is given the function that rebuilds the index within it. */
  runExclusive<Result>(run: (rebuildIndex: () => Promise<void>) => Promise<Result>): Promise<Result>
}

/** Starts the upkeep. Resolves when the filter is complete, or at once when building it would take long. */
export async function openIndexUpkeep(deps: IndexUpkeepDeps): Promise<IndexUpkeep> {
  const { clock, log, index } = deps
  const closing = new AbortController()

  // Until the filter is complete, every look-up asks the database: slower but equally correct.
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

  const rebuilder = createIndexRebuilder({ ...deps, buildFilter, signal: closing.signal })
  const exclusive = createInOrder()
  const rebuildIndex = (): Promise<void> => (index.isIncomplete ? exclusive.run(rebuilder.rebuild) : Promise.resolve())
  let rebuilding: Promise<void> | undefined
  const rebuildInBackground = (): void => {
    rebuilding ??= rebuildIndex()
      .catch((error: unknown) => {
        if (!closing.signal.aborted) log.error('the index database could not be rebuilt; it will be retried', { error })
      })
      .finally(() => (rebuilding = undefined))
  }
  index.watch({
    distrusted(reason) {
      log.error('the index database is damaged and is being rebuilt from the packs', { reason })
      deps.onDamaged(reason)
      rebuildInBackground()
    },
    untidy: (error) => log.warn('runs of the index database could not be merged; it will be retried', { error }),
  })

  const complete = buildFilter()
  if (index.sliceCount < FILTER_AWAITED_MAX) await complete
  const filterWatch = clock.every(FILTER_CHECK_MS, () => {
    if (index.isFilterWorn) void buildFilter(() => index.isFilterWorn)
  })
  const retry = clock.every(RETRY_MS, () => {
    if (index.isIncomplete) rebuildInBackground()
  })

  return {
    get progress() {
      return rebuilder.progress
    },
    rebuildIndex,
    runExclusive: (run) => exclusive.run(() => run(rebuilder.rebuild)),
    async [Symbol.asyncDispose]() {
      closing.abort()
      filterWatch[Symbol.dispose]()
      retry[Symbol.dispose]()
      await rebuilding
      await exclusive.idle()
      await filtered
    },
  }
}
