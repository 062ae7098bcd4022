// One upload in memory: its upload.json and its journal, and what follows from the two.

import { problem } from '../../../protocol/problems.ts'
import type { ProblemError } from '../../../protocol/problems.ts'
import type { Actor } from '../../contract/access.ts'
import type { Journal } from './journal.ts'
import type { UploadFile } from './upload-file.ts'

export interface Upload {
  file: UploadFile
  journal: Journal
}

/** An upload as its client may see it. */
export interface UploadView {
  readonly id: string
  /** Bytes durably held. */
  readonly offset: number
  /** Null while the length is deferred. */
  readonly length: number | null
  /** `Upload-Metadata` as sent. */
  readonly metadata: string | null
  /** `Upload-Concat` as sent. */
  readonly concat: string | null
  /** Null when the upload never expires. */
  readonly expiresAtMs: number | null
  /** The image it became; null until that is published. */
  readonly imageId: string | null
}

/** Bytes durably held. A published upload has no journal any more. */
export function offsetOf(upload: Upload): number {
  return upload.file.publishedAtMs === null ? upload.journal.offset : (upload.file.length ?? 0)
}

/** Whether all bytes are there. */
export function isWhole(upload: Upload): boolean {
  return upload.file.length !== null && offsetOf(upload) === upload.file.length
}

/** Periods after its last byte at which an upload expires, however often it is asked about or touched without bytes. */
export const IDLE_PERIODS_MAX = 7

/** When an upload expires: a period after it was last worked on, but not long after its last byte. Null for one that became an image. */
export function expiresAtMs(upload: Upload, expiryMs: number): number | null {
  return upload.file.publishedAtMs === null ? renewedEndMs(upload, expiryMs, upload.journal.timeMs) : null
}

/** When an upload would expire if it was last worked on at this time. */
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

/** Id of the token that an actor's uploads belong to: its own, or that of the link's maker. */
export function creatorTokenId({ name, tokenId, link }: Actor): string {
  const id = tokenId ?? link?.makerTokenId
  if (id === undefined) throw new Error(`the actor ${name} came neither with a token nor by a link`)
  return id
}

/** An uploader sees the uploads of its token, a link the one it made, an operator all. */
export function mayTouch(actor: Actor, file: UploadFile): boolean {
  if (actor.link) return actor.link.kind === 'upload' && actor.link.id === file.linkId
  return actor.role === 'operator' || actor.role === 'admin' || creatorTokenId(actor) === file.creatorTokenId
}

/** An upload that is not there, or not for this actor: the two look alike. */
export function noSuchUpload(id: string): ProblemError {
  return problem('not-found', `There is no upload ${JSON.stringify(id)}.`)
}

/** The offset for the client to go on from, for the headers of a refusal. */
export function offsetHeader(upload: Upload): Record<string, string> {
  return { 'Upload-Offset': String(offsetOf(upload)) }
}
