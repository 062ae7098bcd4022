// Plans what a gc does with packs from what the sweep found. Pure.

import type { PackName } from '../packs/pack-format.ts'
import { PACK_HEADER_BYTES } from '../packs/pack-format.ts'

/** A pack is rewritten when less than this part of it is live. */
const LIVE_PART_MIN = 0.5
/** Small packs are merged when there are more of them than this. */
const SMALL_PACKS_MAX = 8

/** Live and dead bytes of one pack, in whole records. */
export interface PackUse {
  liveBytes: number
  deadBytes: number
}

export interface PackLength {
  readonly id: number
  readonly name: PackName
  readonly length: number
}

export interface PackPlan {
  /** Packs without live slices. */
  readonly remove: readonly PackLength[]
  readonly rewrite: readonly PackLength[]
  /** Whether packs are not rewritten only because there is no room for their live slices. */
  readonly isShortOfRoom: boolean
}

/**
 * Plans which packs are removed and which are rewritten. A rewrite needs room for the live slices before anything is freed, so packs with the
 * fewest live bytes come first, and the plan ends when the room does: a full disk can still be cleaned.
 */
export function planPacks(packs: readonly PackLength[], uses: ReadonlyMap<number, PackUse>, freeBytes: number, smallBytes: number): PackPlan {
  const live = (pack: PackLength): number => uses.get(pack.id)?.liveBytes ?? 0
  const remove = packs.filter((pack) => live(pack) === 0)
  let room = freeBytes + remove.reduce((sum, pack) => sum + pack.length, 0)
  const used = packs.filter((pack) => live(pack) > 0)
  const small = used.filter(({ length }) => length < smallBytes)
  const isMerging = small.length > SMALL_PACKS_MAX
  const wanted = used.filter((pack) => live(pack) < pack.length * LIVE_PART_MIN || (isMerging && pack.length < smallBytes))
  const rewrite: PackLength[] = []
  for (const pack of wanted.toSorted((a, b) => live(a) - live(b))) {
    if (live(pack) + PACK_HEADER_BYTES > room) break
    rewrite.push(pack)
    room += pack.length - live(pack)
  }
  return { remove, rewrite, isShortOfRoom: rewrite.length < wanted.length }
}
