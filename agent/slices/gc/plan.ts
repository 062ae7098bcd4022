// What a gc does with packs, planned from what a sweep found. Pure.

import type { PackName } from '../packs/pack-format.ts'
import { PACK_HEADER_BYTES } from '../packs/pack-format.ts'

/** A pack with less than this part live is rewritten. */
const LIVE_PART_MIN = 0.5
/** Packs below the small length are merged when there are more than this. */
const SMALL_PACKS_MAX = 8

/** What a sweep found in one pack. Bytes count whole records. */
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
  /** Packs with nothing live in them. */
  readonly remove: readonly PackLength[]
  readonly rewrite: readonly PackLength[]
  /** Whether packs stay as they are only because there is no room to move what lives in them. */
  readonly isShortOfRoom: boolean
}

/**
 * Which packs go and which are rewritten. A rewrite needs room for what is live before anything is freed, so
 * the emptiest come first and the plan ends where the room does: a full disk can still be cleaned.
 */
export function planPacks(packs: readonly PackLength[], uses: ReadonlyMap<number, PackUse>, freeBytes: number, smallBytes: number): PackPlan {
  const live = (pack: PackLength): number => uses.get(pack.id)?.liveBytes ?? 0
  const remove = packs.filter((pack) => live(pack) === 0)
  let room = freeBytes + remove.reduce((sum, pack) => sum + pack.length, 0)
  const small = packs.filter((pack) => live(pack) > 0 && pack.length < smallBytes)
  const wanted = packs.filter(
    (pack) => live(pack) > 0 && (live(pack) < pack.length * LIVE_PART_MIN || (small.length > SMALL_PACKS_MAX && pack.length < smallBytes)),
  )
  const rewrite: PackLength[] = []
  for (const pack of wanted.toSorted((a, b) => live(a) - live(b))) {
    if (live(pack) + PACK_HEADER_BYTES > room) break
    rewrite.push(pack)
    room += pack.length - live(pack)
  }
  return { remove, rewrite, isShortOfRoom: rewrite.length < wanted.length }
}
