// Body intake: the interfaces between a body reader, the two ways to ingest a body (plain bytes and slices), and the commits of an upload.

import type { Clock } from '../../contract/runtime.ts'
import type { Checkpoint, Ingest } from '../../contract/slices.ts'
import type { IngestSlots } from './ingest-slots.ts'

/** What commits the bytes of one upload. The caller waits for each call before it makes the next one. */
export interface UploadCommits {
  /** Bytes that are committed but not in slices yet. */
  readonly tailLength: number
  /** Opens an ingest at the end of what is committed. */
  openIngest(): Promise<Ingest>
  /** Appends bytes to the tail without cutting them; durable when it resolves. */
  commitTail(bytes: Uint8Array): Promise<void>
  /** Commits checkpoints to the journal in one append; durable when it resolves. Releases them even when it fails. */
  commit(checkpoints: readonly Checkpoint[]): Promise<void>
  /** Promises space for the bytes until the next checkpoint. Throws `insufficient-storage`. */
  renewSpace(): Promise<void>
  /** Closes the journal until the next commit. */
  closeFiles(): Promise<void>
}

export interface BodyIntakeDeps {
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  readonly ingestSlots: IngestSlots
  /** Slots of bodies with a checksum: each keeps an ingest open until it is verified. */
  readonly provisionalSlots: IngestSlots
}

export interface BodyIntakeOptions {
  /** The body has a checksum: nothing is committed before `commit`. */
  readonly isProvisional: boolean
  /** Milliseconds since the last byte of the body; 0 while a piece is being processed. */
  readonly quietMs: () => number
  /** Ends every wait for a slot. */
  readonly signal: AbortSignal
  /** Called when a step in the background fails. Whatever the body brings afterwards is lost. */
  readonly onFailure: (error: unknown) => void
}

/** Ingests the pieces of one body. */
export interface BodyIntake {
  /** Bytes of the body accepted so far. */
  readonly received: number
  /** Whether the body is complete if it ends here. */
  readonly isWhole: boolean
  /** Ingests a piece; resolves when there is room for the next. Returns false, without the piece, when the wait for a slot was ended. */
  write(piece: Uint8Array): Promise<boolean>
  /** Called before each wait for a piece: a wait that takes long may pass the slot to another body. */
  startPiece(): void
  /** Called several times a second. */
  tick(): void
  /** Commits everything written. `isLast`: the upload ends here. */
  commit(isLast: boolean): Promise<void>
  /** Releases everything. What was not committed is lost. */
  close(): Promise<void>
}
