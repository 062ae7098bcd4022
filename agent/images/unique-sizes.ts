// Unique sizes: the stored bytes that only the given images use, and that deleting them together would free. The size of a single image is
// cached until an image is added or removed. Counts run one at a time, because each may use about 110 MB of memory.

import { manifestLength } from '../../protocol/manifest.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { ImageTable } from './image-table.ts'
import type { ManifestHandle } from './manifests/manifest-cache.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import type { ReadBudget } from './manifests/slice-sizes.ts'
import { countUniqueSize, createReadBudget, UNIQUE_READ_BYTES_MAX, UNIQUE_SLICES_MAX } from './manifests/slice-sizes.ts'

/** Maximum number of waiting counts. Further ones return null. */
export const UNIQUE_COUNTS_WAITING_MAX = 16
/** Assumed bytes of an image per manifest entry, for estimating what a count would read. */
const BYTES_PER_ENTRY = 64 * 1024

export interface UniqueSizes {
  /** Returns the cached size of an image, or null if it is not cached or no longer valid. */
  known(id: string): number | null
  /** Returns the stored bytes that only these images use, or null if counting would read too much or too many counts are waiting. */
  count(ids: readonly string[]): Promise<number | null>
}

export interface UniqueSizesDeps {
  readonly clock: Clock
  readonly log: Log
  readonly table: ImageTable
  readonly manifests: Pick<ManifestFiles, 'openOnce'>
  readonly sizes: (digests: readonly Uint8Array[]) => { readonly storedBytes: number }
}

export function createUniqueSizes(deps: UniqueSizesDeps): UniqueSizes {
  const { clock, log, table } = deps
  const counted = new Map<string, { revision: number; size: number | null }>()
  const counting = new Map<string, Promise<number | null>>()
  let last: Promise<unknown> = Promise.resolve()

  const known = (id: string): number | null => {
    const found = counted.get(id)
    return found?.revision === table.revision() ? found.size : null
  }
  const countNow = async (ids: readonly string[]): Promise<number | null> => {
    const revision = table.revision()
    const [only] = ids.length === 1 ? ids : []
    const before = only === undefined ? undefined : counted.get(only)
    if (before?.revision === revision) return before.size
    if (estimatedRead(table) > UNIQUE_READ_BYTES_MAX) return null
    const budget = createReadBudget()
    const read = (id: string): Promise<ManifestHandle> => readWithin(budget, deps, id)
    const own = new Set(ids)
    const others = async function* (): AsyncGenerator<Manifest> {
      for (const { image } of table.all())
        if (!own.has(image.id) && image.manifestDigest !== null) {
          using other = await read(image.id)
          yield other.manifest
        }
    }
    let size: number | null = null
    try {
      using held = new DisposableStack()
      const manifests: Manifest[] = []
      for (const id of own) {
        const image = table.get(id)?.image
        if (image?.status === 'fileUnavailable') return null
        // An image that failed before it had a manifest uses no slices.
        if (image?.manifestDigest === null) continue
        manifests.push(held.use(await read(id)).manifest)
        if (manifests.reduce((sum, { count }) => sum + count, 0) > UNIQUE_SLICES_MAX) break
      }
      size = await countUniqueSize(manifests, others(), { sizes: deps.sizes, pause: () => clock.sleep(0) })
    } catch (error) {
      // The size is informative, so it is null in the response. The next reader of a damaged manifest reports it.
      log.debug('a unique size could not be counted', { images: ids.length, error })
      if (!budget.isSpent) return null
    }
    if (only !== undefined) counted.set(only, { revision, size })
    return size
  }
  return {
    known,
    async count(ids) {
      for (const old of counted.keys()) if (!table.get(old)) counted.delete(old)
      const key = [...new Set(ids)].toSorted().join(' ')
      const running = counting.get(key)
      if (running) return running
      if (counting.size > UNIQUE_COUNTS_WAITING_MAX) return null
      const count = last.then(() => countNow(ids)).finally(() => counting.delete(key))
      counting.set(key, count)
      last = count
      return count
    },
  }
}

/** Opens a manifest. Throws RangeError if it exceeds the budget. */
async function readWithin(budget: ReadBudget, { manifests, table }: UniqueSizesDeps, id: string): Promise<ManifestHandle> {
  const held = await manifests.openOnce(id, table.get(id)?.image.manifestDigest ?? null)
  try {
    budget.spend(manifestLength(held.manifest.count))
    return held
  } catch (error) {
    held[Symbol.dispose]()
    throw error
  }
}

/** Returns the total bytes of all manifests, estimated from the lengths of the images. */
function estimatedRead(table: ImageTable): number {
  let bytes = 0
  for (const { image } of table.all()) bytes += manifestLength(Math.ceil(image.length / BYTES_PER_ENTRY))
  return bytes
}
