// States of an image: every change of what the catalogue holds, pure. Who makes them durable is image-keeper.ts.

import type { Image } from '../../protocol/image.ts'
import { formatTime } from '../../protocol/time.ts'
import type { NewImage } from '../contract/images.ts'
import { newLife } from './image-file.ts'
import type { ImageLife, StoredImage } from './image-file.ts'
import type { Inspection } from './inspection.ts'

/** A stored image with some members changed. */
export function changed(stored: StoredImage, image: Partial<Image>, life: Partial<ImageLife> = {}): StoredImage {
  return { image: { ...stored.image, ...image }, life: { ...stored.life, ...life } }
}

/** A new image whose manifest is written. */
export function fresh({ id, draft, source }: NewImage, length: number, manifestDigest: string | null, nowMs: number): StoredImage {
  return {
    image: {
      id,
      name: draft.name,
      description: draft.description,
      kind: draft.kind ?? (draft.format === 'iso' ? 'iso' : 'disk'),
      format: null,
      status: 'creating',
      statusReason: null,
      digest: null,
      manifestDigest,
      length,
      virtualSize: null,
      storedSize: null,
      uniqueSize: null,
      os: draft.os ?? null,
      cloudInit: draft.cloudInit ?? null,
      requirements: null,
      mediaGroup: draft.mediaGroup ?? null,
      owner: draft.owner ?? null,
      source,
      protected: false,
      bindings: [],
      grants: [],
      createdAt: formatTime(nowMs),
      availableAt: null,
      deletedAt: null,
      expiresAt: null,
    },
    life: newLife({ declared: { digest: draft.digest ?? null, format: draft.format ?? null, kind: draft.kind ?? null } }),
  }
}

/** A new image that can never have content. */
export function refused(image: NewImage, length: number, statusReason: string, nowMs: number): StoredImage {
  return changed(fresh(image, length, null, nowMs), { status: 'error', statusReason }, { damage: 'manifest' })
}

/** An image of another store as it begins here: bindings and protection are of the place, all else goes with the image. */
export function adopted(image: Image, nowMs: number): StoredImage {
  const life = newLife({ declared: { digest: null, format: image.format, kind: image.kind }, digestClaimed: image.digest !== null })
  const begun = { status: 'creating', statusReason: null, uniqueSize: null, protected: false, bindings: [], deletedAt: null, expiresAt: null } as const
  return { image: { ...image, ...begun, bindings: [], availableAt: null, createdAt: image.createdAt || formatTime(nowMs) }, life }
}

/** An image that was damaged here and whose bytes came again: it keeps what it was here. */
export function healed(there: StoredImage): StoredImage {
  const whole = there.image.status === 'deleted' ? changed(there, { deletedAt: null, expiresAt: null }, { before: null, damage: null }) : withoutDamage(there)
  return changed(whole, { status: 'creating', statusReason: null }, { declared: { ...whole.life.declared, digest: null, format: whole.image.format } })
}

/** What was found out about a new image; `digest` where it was computed, `storedSize` where it could be counted. */
export interface Examination {
  readonly inspection: Inspection
  readonly storedSize: number | null
  readonly digest?: string
}

export function concluded(stored: StoredImage, { inspection, storedSize, digest: computed }: Examination, nowMs: number): StoredImage {
  const { format, virtualSize } = inspection
  const digest = computed ?? stored.image.digest
  const kind = stored.life.declared.kind ?? (format === 'iso' ? 'iso' : stored.image.kind)
  const seen = { format, virtualSize, digest, kind, storedSize }
  if (inspection.kind === 'refused') return changed(stored, { ...seen, status: 'error', statusReason: inspection.reason })
  return changed(
    stored,
    { ...seen, status: 'available', statusReason: null, availableAt: stored.image.availableAt ?? formatTime(nowMs) },
    { damage: null, before: null },
  )
}

export function lacksDigest({ image, life }: StoredImage): boolean {
  return (image.status === 'available' || image.status === 'degraded') && (image.digest === null || life.digestClaimed)
}

export function withDigest(stored: StoredImage, digest: string): StoredImage {
  const claimed = stored.image.digest
  if (claimed === null || claimed === digest) return changed(stored, { digest }, { digestClaimed: false })
  const statusReason = `Digest mismatch: the store it was copied from said ${claimed}, the bytes here have ${digest}. Compare both stores, then delete the wrong copy.`
  return changed(stored, { digest, status: 'error', statusReason }, { digestClaimed: false })
}

/** Undefined when the image is not one whose slices count any more. */
export function withSliceDamage(stored: StoredImage, reason: string, nowMs: number): StoredImage | undefined {
  const { image, life } = stored
  const life2 = { damage: 'slices' as const, damagedAtMs: nowMs }
  const sentence = reason.charAt(0).toUpperCase() + reason.slice(1)
  if (image.status === 'deleted' && life.before) return changed(stored, {}, { ...life2, before: { status: 'degraded', statusReason: sentence } })
  if (image.status === 'available' || image.status === 'degraded') return changed(stored, { status: 'degraded', statusReason: sentence }, life2)
  return undefined
}

export function withManifestDamage(stored: StoredImage, reason: string): StoredImage | undefined {
  const { image, life } = stored
  if (life.damage === 'manifest' || image.status === 'deleting') return undefined
  const statusReason = `Its manifest is damaged: ${reason}. Sync the image again from a store that has it, or delete it.`
  if (image.status === 'deleted') return changed(stored, {}, { damage: 'manifest', before: { status: 'error', statusReason } })
  return changed(stored, { status: 'error', statusReason }, { damage: 'manifest', before: { status: image.status, statusReason: image.statusReason } })
}

/** The image as it was before the damage, once that is gone. */
export function withoutDamage(stored: StoredImage): StoredImage {
  const { image, life } = stored
  const whole = { damage: null, damagedAtMs: 0 }
  if (image.status === 'deleted') return changed(stored, {}, { ...whole, before: { status: 'available', statusReason: null } })
  if (life.damage === 'slices') return changed(stored, { status: 'available', statusReason: null }, whole)
  const before = life.before ?? { status: 'available' as const, statusReason: null }
  return changed(stored, { status: before.status, statusReason: before.statusReason }, { ...whole, before: null })
}
