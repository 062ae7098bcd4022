// The state machine of an image: the allowed transitions, and each change as a pure function. image-keeper.ts makes changes durable.

import type { Image, ImagePatch, ImageStatus } from '../../../protocol/images/image.ts'
import { LABELS_MAX, mergeLabels } from '../../../protocol/images/labels.ts'
import { kindRefusal } from '../../../protocol/images/image-kinds.ts'
import { systemId } from '../../../protocol/images/operating-systems.ts'
import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { ImageInProgress, ImageRefusal, NewImage } from '../../contract/images.ts'
import { blankImage, newLife } from './image-file.ts'
import type { ImageLife, StoredImage } from './image-file.ts'
import { kindOf } from './image-rules.ts'
import { binReason, CREATING_REASON, DELETING_REASON } from '../pending/status-reason.ts'
import { completeRequirements, ownRequirements } from './requirements.ts'
import { undetected } from '../formats/inspection.ts'
import type { Inspection, Refusal } from '../formats/inspection.ts'

/** Maximum number of instances listed in a problem. */
const NAMES_SHOWN_MAX = 5

/** Allowed target statuses of one kind of change, by current status. */
type Transitions = Readonly<Partial<Record<ImageStatus, readonly ImageStatus[]>>>

/**
 * All allowed transitions. A new image starts as `creating`, or as `error` if it can never have content. An image with unreadable files is
 * `fileUnavailable` and cannot change, because a change would overwrite its image.json. load.ts reads it again.
 */
const TRANSITIONS = {
  /** The inspection ended. */
  conclude: { creating: ['available', 'error'] },
  /** The inspection failed too often. */
  giveUp: { creating: ['error'] },
  /** The digest was computed. `error` if it differs from the digest that the source reported. */
  setDigest: { available: ['available', 'error'], degraded: ['degraded', 'error'] },
  markSliceDamage: { available: ['degraded'], degraded: ['degraded'], deleted: ['deleted'] },
  markManifestDamage: {
    creating: ['error'],
    uploading: ['error'],
    pending: ['error'],
    available: ['error'],
    degraded: ['error'],
    error: ['error'],
    deleted: ['deleted'],
  },
  /** The image is intact again and returns to its earlier status. */
  clearDamage: {
    degraded: ['available'],
    error: ['creating', 'uploading', 'pending', 'available', 'degraded', 'error'],
    deleted: ['deleted'],
  },
  /** A sync copied the image again. It is inspected again. */
  resync: { degraded: ['creating'], error: ['creating'], deleted: ['creating'] },
  /** Moves the image to the recycle bin. */
  bin: { available: ['deleted'], degraded: ['deleted'], error: ['deleted'] },
  /** Restores the image from the recycle bin with its earlier status. An image that was never available is inspected again. */
  restore: { deleted: ['available', 'degraded', 'error'], error: ['creating'] },
  /** First step of removing an image permanently. */
  remove: {
    creating: ['deleting'],
    uploading: ['deleting'],
    pending: ['deleting'],
    available: ['deleting'],
    degraded: ['deleting'],
    error: ['deleting'],
    deleted: ['deleting'],
    deleting: ['deleting'],
  },
} as const satisfies Record<string, Transitions>

export type ImageChange = keyof typeof TRANSITIONS

/** Returns whether a kind of change is allowed from a status. */
export function allows(change: ImageChange, from: ImageStatus): boolean {
  return (TRANSITIONS as Record<ImageChange, Transitions>)[change][from] !== undefined
}

/** Returns a stored image with some members changed. The status does not change. */
export function changed(stored: StoredImage, image: Partial<Omit<Image, 'status'>>, life: Partial<ImageLife> = {}): StoredImage {
  return { image: { ...stored.image, ...image }, life: { ...stored.life, ...life } }
}

/** Returns an image with changed metadata. Throws ProblemError `limit-reached` for too many labels, and `virtual-disk`. */
export function patched(stored: StoredImage, { labels, ...members }: ImagePatch): StoredImage {
  const { image } = stored
  if (image.kind === 'virtualDisk')
    throw problem('virtual-disk', `Image ${image.name} is a virtual disk${ofInstances(image)}, so it cannot be edited as an image.`)
  const refusal = members.kind === undefined || image.format === null ? undefined : kindRefusal(members.kind, image.format)
  if (refusal !== undefined) throw problem('format-mismatch', refusal, { action: 'Choose a kind that has this format.' })
  const merged = labels && mergeLabels(image.labels, labels)
  if (merged && Object.keys(merged).length > LABELS_MAX)
    throw problem('limit-reached', `Image ${image.name} would have ${Object.keys(merged).length} labels; the limit is ${LABELS_MAX}.`, {
      action: 'Remove labels that are not needed.',
    })
  const { os: system, requirements: wanted, ...others } = members
  const os = system === undefined ? image.os : system && systemId(system)
  const requirements = completeRequirements({ os, requirements: wanted === undefined ? ownRequirements(image) : wanted })
  return changed(stored, { ...(others as Partial<Omit<Image, 'status'>>), os, requirements, ...(merged && { labels: merged }) })
}

function ofInstances({ bindings }: Image): string {
  return bindings.length === 0 ? '' : ` of ${bindings.slice(0, NAMES_SHOWN_MAX).join(', ')}`
}

/** Returns whether an image goes when this instance no longer uses it: it is a virtual disk, and no other instance uses it. */
export function livesWith({ kind, bindings }: Image, instance: string): boolean {
  return kind === 'virtualDisk' && bindings.length === 1 && bindings[0] === instance
}

/** Returns a stored image with another status. Throws an Error if TRANSITIONS does not allow the change, which is a bug. */
function moved(change: ImageChange, stored: StoredImage, image: Partial<Image> & Pick<Image, 'status'>, life: Partial<ImageLife> = {}): StoredImage {
  const { id, status } = stored.image
  const targets = (TRANSITIONS as Record<ImageChange, Transitions>)[change][status]
  if (!targets?.includes(image.status)) throw new Error(`${change} must not change image ${id} from ${status} to ${image.status}`)
  return { image: { ...stored.image, ...image }, life: { ...stored.life, ...life } }
}

/** Returns a new image with a written manifest. */
export function fresh({ id, draft, source, mayBeInstallation = true }: NewImage, length: number, manifestDigest: string | null, nowMs: number): StoredImage {
  const { name, description, kind, format, os, cloudInit, requirements, mediaGroup, owner, labels, sourceInstance } = draft
  const known: Partial<Image> & Pick<Image, 'id'> = {
    id,
    name,
    description,
    kind: kind ?? (format === 'iso' ? 'iso' : 'disk'),
    manifestDigest,
    length,
    os: os === undefined ? null : systemId(os),
    cloudInit: cloudInit ?? null,
    requirements: completeRequirements({ os: os ?? null, requirements: requirements ?? null }),
    mediaGroup: mediaGroup ?? null,
    owner: owner ?? null,
    labels: labels ?? {},
    sourceInstance: sourceInstance ?? null,
    // A virtual disk that names its instance belongs to it from the beginning.
    bindings: kind === 'virtualDisk' && sourceInstance !== undefined ? [sourceInstance] : [],
    source,
  }
  return {
    image: blankImage({ statusReason: CREATING_REASON, ...known }, nowMs),
    life: newLife({ declared: { digest: draft.digest ?? null, format: format ?? null, kind: kind ?? null, mayBeInstallation } }),
  }
}

/** Returns a new image whose compressed file has a written manifest. Its length is that of the compressed file until it is unpacked. */
export function freshCompressed(image: NewImage, length: number, compressed: string, nowMs: number): StoredImage {
  const { image: created, life } = fresh(image, length, null, nowMs)
  return { image: created, life: { ...life, compressed } }
}

/** Returns an image with its unpacked content. The declared digest was that of the compressed file, which is verified. */
export function unpacked(stored: StoredImage, { digest, imageLength }: { readonly digest: string; readonly imageLength: number }): StoredImage {
  const declared = { ...stored.life.declared, digest: null }
  return changed(stored, { manifestDigest: digest, length: imageLength }, { compressed: null, declared })
}

/** Returns an image that is still uploaded. It is shown and never stored. */
export function uploaded({ image, state, reason, length, createdAtMs }: ImageInProgress): Image {
  return { ...fresh(image, length, null, createdAtMs).image, status: state, statusReason: reason }
}

/** Returns the refusal of a change of an image that is still uploaded. */
export function stillUploaded({ image, state, reason }: ImageInProgress): ProblemError {
  return problem('wrong-status', `Image ${image.draft.name} is ${state}. ${reason}`, {
    action: 'Wait until it is available, or delete it to cancel the upload.',
  })
}

/** Returns a new image that can never have content. */
export function refused(image: NewImage, length: number, { code, reason }: ImageRefusal, nowMs: number): StoredImage {
  const { image: created, life } = fresh(image, length, null, nowMs)
  return { image: { ...created, status: 'error', statusReason: reason, formatDetails: undetected(code) }, life: { ...life, damage: 'manifest' } }
}

/** Returns the initial state of an image copied from another store. Bindings and protection belong to a store and are not copied. */
export function adopted(image: Image, nowMs: number): StoredImage {
  const life = newLife({ declared: { digest: null, format: image.format, kind: image.kind, mayBeInstallation: true }, digestClaimed: image.digest !== null })
  const begun = {
    status: 'creating',
    statusReason: CREATING_REASON,
    uniqueSize: null,
    protected: false,
    bindings: [],
    deletedAt: null,
    expiresAt: null,
  } as const
  return { image: { ...image, ...begun, bindings: [], availableAt: null, createdAt: image.createdAt || formatTime(nowMs) }, life }
}

/**
 * Returns the state of an image after a sync has copied its manifest and slices again. An image that is damaged or in the recycle bin keeps
 * its metadata, bindings and protection. An image that failed, or whose metadata was lost, gets the metadata of the source.
 */
export function resynced(there: StoredImage, source: Image, nowMs: number): StoredImage {
  const { image, life } = there
  const isLost = life.damage === 'metadata' || image.manifestDigest !== source.manifestDigest
  if (isLost || (image.status === 'error' && life.damage !== 'manifest')) {
    const started = adopted(source, nowMs)
    return moved('resync', there, started.image, started.life)
  }
  const declared = { ...life.declared, digest: null, format: image.format }
  const members = { status: 'creating', statusReason: CREATING_REASON, deletedAt: null, expiresAt: null } as const
  return moved('resync', there, members, { before: null, damage: null, damagedAtMs: 0, compressed: null, declared })
}

/** Result of examining an image. `digest` is set if it was computed; `storedSize` is null if it could not be counted. */
export interface Examination {
  readonly inspection: Inspection
  readonly storedSize: number | null
  readonly digest?: string
}

/** Refusals of a compressed file that another attempt may not meet. */
const UNPACKED_LATER: ReadonlySet<Refusal> = new Set<Refusal>(['insufficient-storage', 'limit-reached', 'data-corrupt'])

/** Returns an image after its inspection: available, or an error if it was refused. */
export function concluded(stored: StoredImage, { inspection, storedSize, digest: computed }: Examination, nowMs: number): StoredImage {
  const { format, virtualSize, details: formatDetails } = inspection
  const digest = computed ?? stored.image.digest
  const kind = kindOf(stored, format)
  const seen = { format, formatDetails, virtualSize, digest, kind, storedSize }
  if (inspection.kind === 'refused') {
    // A file that can never be unpacked is worth nothing: it is not kept.
    const isWorthless = stored.life.compressed !== null && !UNPACKED_LATER.has(inspection.refusal)
    if (isWorthless) return moved('conclude', stored, { ...seen, status: 'error', statusReason: inspection.reason }, { compressed: null, damage: 'manifest' })
    // An image with damaged slices is inspected again once a scrub finds them intact.
    const again = { damage: 'slices', damagedAtMs: nowMs, before: { status: 'creating', statusReason: null } } as const
    return moved('conclude', stored, { ...seen, status: 'error', statusReason: inspection.reason }, inspection.refusal === 'data-corrupt' ? again : {})
  }
  const availableAt = stored.image.availableAt ?? formatTime(nowMs)
  return moved('conclude', stored, { ...seen, status: 'available', statusReason: null, availableAt }, { damage: null, before: null })
}

/** Returns an image whose inspection has failed too often. */
export function givenUp(stored: StoredImage, { code, reason }: ImageRefusal): StoredImage {
  return moved('giveUp', stored, { status: 'error', statusReason: reason, formatDetails: undetected(code) })
}

/** Returns whether this store still has to compute the digest of an image. */
export function lacksDigest({ image, life }: StoredImage): boolean {
  return allows('setDigest', image.status) && (image.digest === null || life.digestClaimed)
}

/** Returns an image with the digest that this store computed, as an error if the source reported a different one. */
export function withDigest(stored: StoredImage, digest: string): StoredImage {
  const { digest: claimed, status, statusReason } = stored.image
  const life = { digestClaimed: false }
  if (claimed === null || claimed === digest) return moved('setDigest', stored, { digest, status, statusReason }, life)
  const mismatch = `Digest mismatch: the source store reported ${claimed}, but the bytes in this store have ${digest}. Compare both stores, then delete the wrong copy.`
  return moved('setDigest', stored, { digest, status: 'error', statusReason: mismatch }, life)
}

/** Returns whether an image was refused before it got a manifest. */
export function neverHadContent({ image, life }: StoredImage): boolean {
  return image.manifestDigest === null && life.damage === 'manifest'
}

/** Returns whether an image is damaged and still wanted: images in the recycle bin and refused images do not count. */
export function isDamaged(stored: StoredImage): boolean {
  const { status } = stored.image
  return stored.life.damage !== null && status !== 'deleted' && status !== 'deleting' && !neverHadContent(stored)
}

/** Returns an image with damaged slices, or undefined if its status does not depend on its slices. */
export function withSliceDamage(stored: StoredImage, reason: string, nowMs: number): StoredImage | undefined {
  const { image, life } = stored
  if (!allows('markSliceDamage', image.status)) return undefined
  const damage = { damage: 'slices' as const, damagedAtMs: nowMs }
  const statusReason = reason.charAt(0).toUpperCase() + reason.slice(1)
  if (image.status !== 'deleted') return moved('markSliceDamage', stored, { status: 'degraded', statusReason }, damage)
  // An image that was an error before it was deleted must be restored as an error.
  const wasServed = life.before?.status === 'available' || life.before?.status === 'degraded'
  return wasServed ? moved('markSliceDamage', stored, { status: 'deleted' }, { ...damage, before: { status: 'degraded', statusReason } }) : undefined
}

/** Returns an image with a damaged or missing manifest, or undefined if it is already marked or being removed. */
export function withManifestDamage(stored: StoredImage, reason: string): StoredImage | undefined {
  const { image, life } = stored
  if (life.damage === 'manifest' || !allows('markManifestDamage', image.status)) return undefined
  if (image.status === 'deleted') return moved('markManifestDamage', stored, { status: 'deleted' }, { damage: 'manifest' })
  const before = { status: image.status, statusReason: image.statusReason }
  const statusReason = manifestDamage(image.id, `: ${reason}`)
  return moved('markManifestDamage', stored, { status: 'error', statusReason }, { damage: 'manifest', before })
}

/** Returns the status reason for a damaged manifest. */
function manifestDamage(id: string, reason: string): string {
  return `Its manifest is damaged${reason}. ${manifestAction(id)}`
}

/** Returns what to do about an image whose manifest is damaged or missing. */
export function manifestAction(id: string): string {
  return `Sync the image again from a store that has it, or restore images/${id}/manifest from a backup and run scrub; otherwise delete the image.`
}

/** Returns the image in its state before the damage. */
export function withoutDamage(stored: StoredImage): StoredImage {
  const { image, life } = stored
  const whole = { damage: null, damagedAtMs: 0 }
  if (image.status === 'deleted') {
    const isDegraded = life.damage === 'slices' && life.before?.status === 'degraded'
    return moved('clearDamage', stored, { status: 'deleted' }, { ...whole, ...(isDegraded && { before: { status: 'available', statusReason: null } }) })
  }
  if (image.status === 'degraded') return moved('clearDamage', stored, { status: 'available', statusReason: null }, whole)
  if (life.damage === 'slices' && life.before?.status === 'creating')
    return moved('clearDamage', stored, { status: 'creating', statusReason: null }, { ...whole, before: null })
  // Damaged slices do not make an inspected image an error, so it is an error for another reason, which remains.
  if (life.damage !== 'manifest') return moved('clearDamage', stored, { status: 'error', statusReason: image.statusReason }, whole)
  const { status, statusReason } = life.before ?? { status: 'creating', statusReason: CREATING_REASON }
  // A degraded image stays degraded until a scrub finds its slices intact.
  return moved('clearDamage', stored, { status, statusReason }, { ...whole, damage: status === 'degraded' ? 'slices' : null, before: null })
}

/** Returns an image in the recycle bin. It stays there until `expiresAt`, or forever if that is null. */
export function binned(stored: StoredImage, nowMs: number, expiresAt: string | null): StoredImage {
  const { status, statusReason } = stored.image
  const deletedAt = formatTime(nowMs)
  const members = { status: 'deleted', statusReason: binReason(deletedAt, expiresAt), deletedAt, expiresAt } as const
  return moved('bin', stored, members, { before: { status, statusReason } })
}

/**
 * Returns an image restored from the recycle bin, or resets an image that was never available to its state before inspection. Throws
 * ProblemError `wrong-status`, and `store-unavailable` if its files are unreadable.
 */
export function restored(stored: StoredImage): StoredImage {
  const { image, life } = stored
  refuseUnreadable(image)
  const canInspect = (image.manifestDigest !== null || life.compressed !== null) && life.damage !== 'manifest'
  if (image.status === 'error' && image.availableAt === null && canInspect) {
    return moved('restore', stored, { status: 'creating', statusReason: CREATING_REASON }, { damage: null, before: null })
  }
  if (image.status !== 'deleted') throw problem('wrong-status', `Image ${image.name} is ${image.status}, not in the recycle bin.`)
  const outside = { deletedAt: null, expiresAt: null }
  if (life.damage === 'manifest') return moved('restore', stored, { status: 'error', statusReason: manifestDamage(image.id, ''), ...outside })
  const { status, statusReason } = life.before ?? { status: 'available' as const, statusReason: null }
  return moved('restore', stored, { status, statusReason, ...outside }, { before: null })
}

/** Returns an image that is being removed. Throws ProblemError `store-unavailable` if its files are unreadable. */
export function removing(stored: StoredImage): StoredImage {
  refuseUnreadable(stored.image)
  return moved('remove', stored, { status: 'deleting', statusReason: DELETING_REASON })
}

/** Throws ProblemError if the files of the image are unreadable: its image.json is the only copy of its metadata and must not be overwritten. */
export function refuseUnreadable(image: Image): void {
  if (image.status === 'fileUnavailable')
    throw problem('store-unavailable', `The files of image ${image.id} cannot be read now. ${image.statusReason ?? ''}`.trim())
}

/** Throws ProblemError if the image is protected, bound, or not inspected yet. */
export function refuseDeletion(image: Image): void {
  if (image.protected) throw problem('image-protected', `Image ${image.name} is protected against deletion.`)
  if (image.bindings.length > 0) {
    const shown = image.bindings.slice(0, NAMES_SHOWN_MAX).join(', ')
    const more = image.bindings.length > NAMES_SHOWN_MAX ? ` and ${image.bindings.length - NAMES_SHOWN_MAX} more` : ''
    throw problem('image-bound', `Image ${image.name} is used by ${shown}${more}.`, { bindings: image.bindings.slice(0, NAMES_SHOWN_MAX) })
  }
  if (image.status === 'creating' || image.status === 'uploading' || image.status === 'pending') {
    throw problem('wrong-status', `Image ${image.name} is ${image.status}; it can be deleted once it is available or error.`)
  }
}
