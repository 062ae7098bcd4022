// Finds the images that use a damaged slice. When a read finds a damaged slice, a background pass over all manifests marks every image that
// uses it as degraded.

import type { Manifest } from '../../../protocol/slices/manifest.ts'
import type { Log } from '../../contract/runtime.ts'
import { rootName, SLICES_ACTION } from './slice-damage.ts'
import type { Damage } from './damage.ts'
import type { ImageTable } from '../records/image-table.ts'
import type { ManifestFiles } from '../manifests/manifest-files.ts'
import type { WorkQueue } from '../pending/work-queue.ts'

/** Maximum number of slices waiting for a pass. Further ones are ignored: the next scrub finds all damaged slices. */
const PENDING_MAX = 10_000

interface DamagedSlice {
  readonly digest: Uint8Array
  readonly reason: string
}

export interface DamagedSlicesDeps {
  readonly log: Log
  readonly table: ImageTable
  readonly manifests: ManifestFiles
  readonly damage: Pick<Damage, 'markDamaged'>
  readonly queue: WorkQueue
  /** Lets other work on the event loop run. */
  readonly pause: () => Promise<void>
}

/** Returns a function that reports a damaged slice. It never throws or blocks. Slices reported during a pass wait for the next pass. */
export function createDamagedSlices(deps: DamagedSlicesDeps): (digest: Uint8Array, reason: string) => void {
  const { log, table, manifests, damage, queue, pause } = deps
  // Keyed by the first 48 bits of the digest, which fit a safe integer.
  let pending = new Map<number, DamagedSlice>()

  const pass = async (signal: AbortSignal): Promise<void> => {
    const sought = pending
    pending = new Map()
    for (const { image } of table.all()) {
      if (image.status === 'deleting') continue
      try {
        using opened = await manifests.openOnce(image.id, image.manifestDigest)
        const found = await searchManifest(opened.manifest, sought, pause, signal)
        if (found) await damage.markDamaged([rootName(image.id)], `one of its slices is damaged: ${found.reason}. ${SLICES_ACTION}`)
      } catch (error) {
        signal.throwIfAborted()
        // The next reader of the manifest reports that it is unreadable.
        log.warn('a manifest could not be searched for damaged slices', { image: image.id, error })
      }
    }
  }
  return (digest, reason) => {
    if (pending.size >= PENDING_MAX) return
    pending.set(keyOf(digest), { digest: new Uint8Array(digest), reason })
    queue.add('damaged slices', pass)
  }
}

/** Returns the first slice of a manifest that is in `sought`. */
async function searchManifest(
  manifest: Manifest,
  sought: ReadonlyMap<number, DamagedSlice>,
  pause: () => Promise<void>,
  signal: AbortSignal,
): Promise<DamagedSlice | undefined> {
  for await (const block of manifest.blocks()) {
    for (let i = block.first; i < block.first + block.count; i++) {
      const digest = block.digestAt(i)
      const found = sought.get(keyOf(digest))
      if (found && found.digest.every((byte, at) => byte === digest[at])) return found
    }
    await pause()
    signal.throwIfAborted()
  }
  return undefined
}

function keyOf(digest: Uint8Array): number {
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
  return view.getUint32(0) * 0x1_0000 + view.getUint16(4)
}
