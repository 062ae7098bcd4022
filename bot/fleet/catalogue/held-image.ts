// An image as the catalogue keeps it, and its row.

import type { Image } from '../../../protocol/images/image.ts'
import { isOpenImage } from '../../../protocol/images/fingerprint.ts'
import type { FingerprintedImage } from '../../../protocol/images/fingerprint.ts'

/** An image that a store held. */
export interface HeldImage extends FingerprintedImage {
  /** When the bot learned that it is as it is, in milliseconds since 1970. */
  readonly changedMs: number
}

/** A row of `catalogue_images` without its store. */
export interface HeldRow {
  id: string
  name: string
  status: Image['status']
  kind: Image['kind']
  format: Image['format']
  length: number
  stored_size: number | null
  digest: string | null
  manifest_digest: string | null
  owner: string | null
  is_open: number
  created_at: string
  deleted_at: string | null
  expires_at: string | null
  changed_ms: number
}

/** Returns what the catalogue keeps of an image. */
export function heldOf(image: Image, changedMs: number): HeldImage {
  const { id, name, status, kind, format, length, storedSize, digest, manifestDigest, owner, createdAt, deletedAt, expiresAt } = image
  const isOpen = isOpenImage(image)
  return { id, name, status, kind, format, length, storedSize, digest, manifestDigest, owner, createdAt, deletedAt, expiresAt, isOpen, changedMs }
}

export function heldFromRow(row: HeldRow): HeldImage {
  const { id, name, status, kind, format, length, digest, owner } = row
  return {
    ...{ id, name, status, kind, format, length, digest, owner },
    storedSize: row.stored_size,
    manifestDigest: row.manifest_digest,
    createdAt: row.created_at,
    deletedAt: row.deleted_at,
    expiresAt: row.expires_at,
    isOpen: row.is_open === 1,
    changedMs: row.changed_ms,
  }
}

export function rowOf(held: HeldImage): HeldRow {
  const { id, name, status, kind, format, length, digest, owner } = held
  return {
    ...{ id, name, status, kind, format, length, digest, owner },
    stored_size: held.storedSize,
    manifest_digest: held.manifestDigest,
    created_at: held.createdAt,
    deleted_at: held.deletedAt,
    expires_at: held.expiresAt,
    is_open: held.isOpen ? 1 : 0,
    changed_ms: held.changedMs,
  }
}
