// The slices of a store, and what its events say about them.

import { availableParallelism } from 'node:os'
import { formatDigest } from '../../../protocol/slices/digest.ts'
import type { EmitEvent } from '../../contract/work.ts'
import { openSliceStore } from '../../slices/store.ts'
import type { OpenSliceStore } from '../../slices/store.ts'
import type { Foundation } from './foundation.ts'
import type { LateParts } from './late-parts.ts'

export interface StoreSlicesDeps {
  readonly foundation: Foundation
  readonly emit: EmitEvent
  /** Frees the ballast of gc. */
  readonly makeRoom: () => Promise<void>
  readonly late: LateParts
}

/** Opens the slice store; `rebuild` reads every pack instead of trusting the index database. */
export function openStoreSlices({ foundation, emit, makeRoom, late }: StoreSlicesDeps, options: { readonly rebuild?: boolean }): Promise<OpenSliceStore> {
  const { config, disk, clock, log, crashPoint, store } = foundation
  return openSliceStore(
    {
      disk,
      clock,
      log: log.child({ part: 'slices' }),
      crashPoint,
      mount: config.store.mount,
      state: config.store.state,
      cutter: store.cutter,
      workers: availableParallelism(),
      makeRoom,
      // Content moves from uploads and syncs to images: listed in this order, it is seen at least once.
      roots: [
        { list: () => late.get('uploads').roots.list() },
        { list: () => late.get('sync').roots.list() },
        { list: () => late.get('catalogue').roots.list() },
      ],
      onCorrupt: (digest, reason) => {
        log.error('a slice is damaged', { digest: formatDigest(digest), reason })
        emit({ type: 'slice.damaged', severity: 'error', subject: formatDigest(digest), message: `A slice is damaged: ${reason}.` })
        late.get('catalogue').sliceDamaged(digest, reason)
        if (late.has('healing')) late.get('healing').wake()
      },
      onIndexDamaged: (reason) =>
        emit({
          type: 'index.damaged',
          severity: 'warning',
          subject: store.uuid,
          message: `The index database is damaged and is being rebuilt from the packs: ${reason}.`,
        }),
      onIndexRebuilt: (packs) =>
        emit({
          type: 'index.rebuilt',
          severity: 'info',
          subject: store.uuid,
          message: `The index database was rebuilt from ${packs} packs; no data was lost.`,
        }),
    },
    options,
  )
}
