// One upload in memory: its upload.json and its journal, and what can be derived from them.

import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { Actor } from '../../contract/access.ts'
import type { NewImage } from '../../contract/images.ts'
import type { Journal } from './journal.ts'
import type { UploadFile } from './upload-file.ts'

export interface Upload {
  file: UploadFile
  journal: Journal
}

/** An upload as its client may see it. */
export interface UploadView {
  readonly id: string
  /** Bytes that are durable. */
  readonly offset: number
  /** Null while the length is deferred. */
  readonly length: number | null
  /** `Upload-Metadata` as sent. */
  readonly metadata: string | null
  /** `Upload-Concat` as sent. */
  readonly concat: string | null
  /** Null when the upload never expires. */
  readonly expiresAtMs: number | null
  /** The image it became; null until the image is published. */
  readonly imageId: string | null
}

/** Returns the durable bytes of an upload. A published upload has no journal any more. */
export function offsetOf(upload: Upload): number {
  return upload.file.publishedAtMs === null ? upload.journal.offset : (upload.file.length ?? 0)
}

/** Whether an upload has all its bytes. */
export function isWhole(upload: Upload): boolean {
  return upload.file.length !== null && offsetOf(upload) === upload.file.length
}

/** Periods after its last byte at which an upload expires, however many requests without bytes follow. */
export const IDLE_PERIODS_MAX = 7

/** Returns when an upload expires: a period after its last request, but not long after its last byte. Null for one that became an image. */
export function expiresAtMs(upload: Upload, expiryMs: number): number | null {
  return upload.file.publishedAtMs === null ? renewedEndMs(upload, expiryMs, upload.journal.timeMs) : null
}

/** Returns when an upload would expire if its last request was at this time. */
export function renewedEndMs({ file, journal }: Upload, expiryMs: number, workedMs: number): number {
  const lastByteMs = Math.max(file.createdAtMs, journal.bytesTimeMs)
  return Math.min(Math.max(file.createdAtMs, workedMs) + expiryMs, lastByteMs + IDLE_PERIODS_MAX * expiryMs)
}

export function viewOf(upload: Upload, expiryMs: number): UploadView {
  const { id, length, metadata, concat, publishedAtMs, imageId } = upload.file
  return {
    id,
    offset: offsetOf(upload),
    length,
    metadata,
    concat,
    expiresAtMs: expiresAtMs(upload, expiryMs),
    imageId: publishedAtMs === null ? null : imageId,
  }
}

/** Returns the image that an upload becomes; undefined for a part. */
export function newImageOf({ id, imageId, draft, mayBeInstallation, filename, device, internal }: UploadFile): NewImage | undefined {
  if (imageId === null || draft === null) return undefined
  const from = internal?.source ?? ({ kind: 'upload', url: null, filename, device } as const)
  return { id: imageId, draft, source: { ...from, uploadId: id, storeId: null }, mayBeInstallation }
}

/** Returns the id of the token that owns an actor's uploads: its own, or that of the link's creator. */
export function creatorTokenId({ name, tokenId, link }: Actor): string {
  const id = tokenId ?? link?.makerTokenId
  if (id === undefined) throw new Error(`the actor ${name} came neither with a token nor by a link`)
  return id
}

/** Whether an actor may use an upload: an uploader those of its token, a link the one it created, an operator all. */
export function mayTouch(actor: Actor, file: UploadFile): boolean {
  if (actor.link) return actor.link.kind === 'upload' && actor.link.id === file.linkId
  return actor.role === 'operator' || actor.role === 'admin' || creatorTokenId(actor) === file.creatorTokenId
}

/** Whether an actor may cancel an upload by its image: the token that created it, the link that did, and an administrator. */
export function mayCancel(actor: Actor, file: UploadFile): boolean {
  if (actor.link) return actor.link.kind === 'upload' && actor.link.id === file.linkId
  return actor.role === 'admin' || creatorTokenId(actor) === file.creatorTokenId
}

/** Returns the refusal for an upload that does not exist, or that the actor may not use: both look alike. */
export function noSuchUpload(id: string): ProblemError {
  return problem('not-found', `There is no upload ${JSON.stringify(id)}.`)
}

/** Returns the headers of a refusal with the offset from which the client continues. */
export function offsetHeader(upload: Upload): Record<string, string> {
  return { 'Upload-Offset': String(offsetOf(upload)) }
}
