// Internal uploads: uploads whose bytes the agent fetches itself, for an import. They have the journal, checkpoints, slots, quota, reserve and
// expiry of other uploads, so an import continues at the durable offset after a cut or a restart, and stores no byte twice.

import type { Image, ImageDraft } from '../../protocol/images/image.ts'
import type { Actor } from './access.ts'

/** Where the bytes of an internal upload come from, as its image shows it. */
export type InternalSource = Omit<Image['source'], 'uploadId' | 'storeId'>

export interface InternalUploadOrder {
  /** Both ids are chosen before the first attempt, so that a repeated creation finds the upload of the first. */
  readonly id: string
  readonly imageId: string
  /** Whose quota and share of the space the upload uses. Needs a token id, or a name in its place for uploads that no request started. */
  readonly actor: Actor
  readonly draft: ImageDraft
  readonly source: InternalSource
  /** The task that fetches the bytes. The upload does not expire while the task is queued or running, and no client can append to it. */
  readonly taskId: string
}

/** What is known of the source once it was opened; durable with the upload, so that a later attempt notices that the source changed. */
export interface SourceIdentity {
  /** Length of the whole source in bytes; null when the source does not tell. */
  readonly length: number | null
  /** Text that differs when the bytes of the source differ; null when the source has none. */
  readonly validator: string | null
}

export interface InternalUpload extends SourceIdentity {
  readonly id: string
  readonly imageId: string
  /** Bytes that are durable. */
  readonly offset: number
  /** Whether the upload became an image. */
  readonly isPublished: boolean
}

/** How an append ended. What arrived is durable either way. */
export interface InternalAppend {
  readonly upload: InternalUpload
  /** Whether the stream ended by itself. Otherwise it failed or fell silent, or another request ended it. */
  readonly isWhole: boolean
}

/** Creates and fills internal uploads. Every call throws ProblemError: `not-found` for an upload that does not exist any more. */
export interface InternalUploads {
  /** Returns an internal upload as it is durably stored; undefined when there is none. */
  find(id: string): Promise<InternalUpload | undefined>
  /**
   * Creates an upload of unknown length, durable when it resolves; returns the one with this id if it exists. Throws `store-disabled`,
   * `limit-reached` when the quota of the actor or the limit of the owner is reached.
   */
  create(order: InternalUploadOrder): Promise<InternalUpload>
  /** Stores what is known of the source; durable when it resolves. Throws `payload-too-large`, and `insufficient-storage` when the length does not fit. */
  declare(id: string, source: SourceIdentity): Promise<InternalUpload>
  /**
   * Appends a stream at the durable offset. Publishes the upload when that makes it whole. Throws `offset-mismatch`, `payload-too-large` when
   * the stream continues after the declared length, `insufficient-storage`, and `shutting-down`; what arrived before is durable.
   */
  append(id: string, offset: number, stream: ReadableStream<Uint8Array>): Promise<InternalAppend>
  /** Ends an upload of unknown length at its durable offset, and publishes it. Does nothing for one that is published. */
  finish(id: string): Promise<InternalUpload>
  /** Removes an upload that is not published, and its bytes. Does nothing when there is none. */
  cancel(id: string): Promise<void>
}
