// Visibility in memory: a caller may see every slice that a published image references, unless the image is hidden.

import { toHex } from '../../../protocol/slices/digest.ts'
import type { SliceVisibility } from '../../../agent/contract/visibility.ts'
import type { MemoryPublisher } from './memory-publisher.ts'

/** Creates a visibility by which every actor may read every published image, except those whose ids are in `hidden`. */
export function createMemoryVisibility(publisher: MemoryPublisher, hidden: ReadonlySet<string> = new Set()): SliceVisibility {
  const known = new Map<string, ReadonlySet<string>>()
  const namesOf = (id: string): ReadonlySet<string> => {
    const entries = publisher.images.get(id)?.entries ?? []
    const names = known.get(id) ?? new Set(entries.flatMap(({ digest }) => (digest ? [toHex(digest)] : [])))
    known.set(id, names)
    return names
  }
  const has = (digest: Uint8Array): boolean => {
    const name = toHex(digest)
    for (const id of publisher.images.keys()) if (!hidden.has(id) && namesOf(id).has(name)) return true
    return false
  }
  const hiddenOf = async (digests: readonly Uint8Array[]): Promise<number[]> => [...digests.keys()].filter((i) => !has(digests[i] ?? new Uint8Array(0)))
  return { view: () => ({ has, hidden: hiddenOf, hiddenExactly: hiddenOf }) }
}
