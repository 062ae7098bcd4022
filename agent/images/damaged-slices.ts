// Damaged slices and the images that need them: a slice that a read found bad makes every image degraded that names it,
// found by one pass over the manifests behind the scenes.

import type { Manifest } from '../../protocol/manifest.ts'
import type { Log } from '../contract/runtime.ts'
import { rootName, SLICES_ACTION } from './damage.ts'
import type { Damage } from './damage.ts'
import type { ImageTable } from './image-table.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import type { WorkQueue } from './work-queue.ts'

/** Slices that wait for a pass; more are left to the next scrub, which finds them all. */
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
  /** Lets the event loop have its turn. */
  readonly pause: () => Promise<void>
}

/** Takes a slice that was found bad; never throws and never waits. Slices that come during a pass wait for the next one. */
export function createDamagedSlices(deps: DamagedSlicesDeps): (digest: Uint8Array, reason: string) => void {
  const { log, table, manifests, damage, queue, pause } = deps
  // By their first 48 bits, which are a safe integer.
  let pending = new Map<number, DamagedSlice>()

  const pass = async (signal: AbortSignal): Promise<void> => {
    const sought = pending
    pending = new Map()
    for (const { image } of table.all()) {
      if (image.status === 'deleting') continue
      try {
        using opened = await manifests.openOnce(image.id, image.manifestDigest)
        const found = await searchManifest(opened.manifest, sought, pause, signal)
        if (found) await damage.markDamaged([rootName(image.id)], `a slice of it is damaged: ${found.reason}. ${SLICES_ACTION}`)
      } catch (error) {
        signal.throwIfAborted()
        // An image whose manifest cannot be read has a worse fault, which those who need it find.
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

/** The first slice of a manifest that is sought. */
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
