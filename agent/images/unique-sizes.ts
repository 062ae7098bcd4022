// Unique sizes as they were last counted: each holds until an image comes or goes.

import { manifestLength } from '../../protocol/manifest.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import type { Clock, Log } from '../contract/runtime.ts'
import type { ImageTable } from './image-table.ts'
import type { ManifestFiles } from './manifest-files.ts'
import { countUniqueSize, UNIQUE_READ_BYTES_MAX } from './slice-sizes.ts'

/** Bytes of an image that one slice of the default cutter stands for on average. */
const SLICE_LENGTH_AVERAGE = 64 * 1024

export interface UniqueSizes {
  /** What was counted and still holds, else null. */
  known(id: string): number | null
  /** Counts one image unless that would read too much; what cannot be counted stays null. */
  count(id: string): Promise<void>
}

export interface UniqueSizesDeps {
  readonly clock: Clock
  readonly log: Log
  readonly table: ImageTable
  readonly manifests: ManifestFiles
  readonly sizes: (manifest: Manifest) => { readonly storedBytes: number }
}

export function createUniqueSizes(deps: UniqueSizesDeps): UniqueSizes {
  const { clock, log, table, manifests } = deps
  const counted = new Map<string, { revision: number; size: number | null }>()
  const counting = new Map<string, Promise<void>>()

  const known = (id: string): number | null => {
    const found = counted.get(id)
    return found?.revision === table.revision() ? found.size : null
  }
  const count = async (id: string): Promise<void> => {
    const stored = table.get(id)
    const revision = table.revision()
    if (!stored || counted.get(id)?.revision === revision || readCost(table) > UNIQUE_READ_BYTES_MAX) return
    const others = async function* (): AsyncGenerator<Manifest> {
      for (const { image } of table.all()) if (image.id !== id && image.manifestDigest !== null) yield await manifests.readOnce(image.id, image.manifestDigest)
    }
    try {
      const manifest = await manifests.readOnce(id, stored.image.manifestDigest)
      const size = await countUniqueSize(manifest, others(), { sizes: deps.sizes, pause: () => clock.sleep(0) })
      counted.set(id, { revision, size })
    } catch (error) {
      // A figure for people: the image is shown without it, and what is broken is found by those who need it.
      log.debug('a unique size could not be counted', { image: id, error })
    }
  }
  return {
    known,
    async count(id) {
      for (const old of counted.keys()) if (!table.get(old)) counted.delete(old)
      const running = counting.get(id) ?? count(id).finally(() => counting.delete(id))
      counting.set(id, running)
      await running
    },
  }
}

/** Bytes of all manifests, estimated from the lengths of the images. */
function readCost(table: ImageTable): number {
  let bytes = 0
  for (const { image } of table.all()) bytes += manifestLength(Math.ceil(image.length / SLICE_LENGTH_AVERAGE))
  return bytes
}
