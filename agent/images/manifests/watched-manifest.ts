// Wraps a manifest whose blocks are read on demand. Reports a block that no longer matches its checksum before the reader gets the error.

import { ManifestInvalid } from '../../../protocol/slices/manifest.ts'
import type { Manifest } from '../../../protocol/slices/manifest.ts'

/** Returns a manifest that replaces each ManifestInvalid with the error returned by `onInvalid`. */
export function watchManifest(manifest: Manifest, onInvalid: (error: ManifestInvalid) => Promise<Error>): Manifest {
  const failure = async (error: unknown): Promise<unknown> => (error instanceof ManifestInvalid ? onInvalid(error) : error)
  const watched = async function* <T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* items
    } catch (error) {
      throw await failure(error)
    }
  }
  return {
    count: manifest.count,
    imageLength: manifest.imageLength,
    blocks: (from) => watched(manifest.blocks(from)),
    pieces: (position) => watched(manifest.pieces(position)),
    async find(offset) {
      try {
        return await manifest.find(offset)
      } catch (error) {
        throw await failure(error)
      }
    },
  }
}
