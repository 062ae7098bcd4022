// A manifest whose blocks are read when they are needed: when one is no longer what was verified, its owner learns of it before the reader.

import { ManifestInvalid } from '../../../protocol/manifest.ts'
import type { Manifest } from '../../../protocol/manifest.ts'

/** Returns a manifest whose readers get the error that `onInvalid` returns in place of a ManifestInvalid. */
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
