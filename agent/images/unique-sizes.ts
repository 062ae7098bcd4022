// Unique sizes: the stored bytes that only the given images use, and that deleting them together would free. The size of a single image is
// cached until an image is added or removed. Counts run one at a time, because each may use about 110 MB of memory.

import { manifestLength } from '../../protocol/slices/manifest.ts'
import type { Image } from '../../protocol/images/image.ts'
import type { Manifest } from '../../protocol/slices/manifest.ts'
import type { Audience } from '../contract/images.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { ImageTable } from './records/image-table.ts'
import type { ManifestHandle } from './manifests/manifest-cache.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import type { ReadBudget } from './manifests/slice-sizes.ts'
import { countUniqueSize, createReadBudget, UNIQUE_READ_BYTES_MAX, UNIQUE_SLICES_MAX } from './manifests/slice-sizes.ts'

/** Maximum number of waiting counts. Further ones return null. */
const UNIQUE_COUNTS_WAITING_MAX = 16
/** Most sizes that are cached, and most audiences whose view is known. */
const COUNTED_MAX = 200_000
const VIEWS_MAX = 64
/** Assumed bytes of an image per manifest entry, for estimating what a count would read. */
const BYTES_PER_ENTRY = 64 * 1024

export interface UniqueSizes {
  /** Returns the cached size of an image, or null if it is not cached or no longer valid. */
  known(id: string, audience?: Audience): number | null
  /**
   * Returns the stored bytes that only these images use, or null if counting would read too much or too many counts are waiting. For an audience,
   * images that it may not see do not count as users: the size must not reveal that they share slices.
   */
  count(ids: readonly string[], audience?: Audience): Promise<number | null>
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
  const views = createViews(table)
  const counted = new Map<string, { readonly stamp: string; readonly size: number | null }>()
  const counting = new Map<string, Promise<number | null>>()
  let last: Promise<unknown> = Promise.resolve()

  const known = (id: string, audience?: Audience): number | null => {
    const { name, stamp } = views.of(audience)
    const found = counted.get(name + id)
    return found?.stamp === stamp ? found.size : null
  }
  const countNow = async (ids: readonly string[], audience: Audience | undefined): Promise<number | null> => {
    const { name, stamp, isSeen } = views.of(audience)
    const [only] = ids.length === 1 ? ids : []
    const before = only === undefined ? undefined : counted.get(name + only)
    if (before?.stamp === stamp) return before.size
    if (estimatedRead(table) > UNIQUE_READ_BYTES_MAX) return null
    const budget = createReadBudget()
    const read = (id: string): Promise<ManifestHandle> => readWithin(budget, deps, id)
    const own = new Set(ids)
    const others = async function* (): AsyncGenerator<Manifest> {
      for (const { image } of table.all())
        if (!own.has(image.id) && image.manifestDigest !== null && isSeen(image)) {
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
    if (only !== undefined) counted.set(name + only, { stamp, size })
    return size
  }
  return {
    known,
    async count(ids, audience) {
      if (counted.size >= COUNTED_MAX) counted.clear()
      const key = views.of(audience).name + [...new Set(ids)].toSorted().join(' ')
      const running = counting.get(key)
      if (running) return running
      if (counting.size > UNIQUE_COUNTS_WAITING_MAX) return null
      const count = last.then(() => countNow(ids, audience)).finally(() => counting.delete(key))
      counting.set(key, count)
      last = count
      return count
    },
  }
}

/** The images that an audience sees, as a name for its sizes, and a stamp that changes with what sizes depend on. */
interface View {
  readonly name: string
  readonly stamp: string
  readonly isSeen: (image: Image) => boolean
}

/** Returns the views of audiences. One that sees every image has the same view as operators, so that its sizes are counted once. */
function createViews(table: ImageTable): { of(audience: Audience | undefined): View } {
  let version = -1
  const isComplete = new Map<string, boolean>()
  const seesAll = ({ key, isSeen }: Audience): boolean => {
    if (version !== table.version() || isComplete.size > VIEWS_MAX) isComplete.clear()
    version = table.version()
    const found = isComplete.get(key)
    if (found !== undefined) return found
    let sees = true
    for (const { image } of table.each()) sees &&= isSeen(image)
    isComplete.set(key, sees)
    return sees
  }
  return {
    of(audience) {
      if (!audience || seesAll(audience)) return { name: '', stamp: `of ${table.revision()}`, isSeen: () => true }
      // A changed grant changes what the audience sees.
      return { name: `${audience.key} `, stamp: `for ${table.version()}`, isSeen: audience.isSeen }
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
