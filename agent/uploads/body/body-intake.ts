// Body intake: the interface between a body reader and the two ways to ingest a body, plain bytes and slices, and what commits either.

import type { Checkpoint, Ingest } from '../../contract/slices.ts'
import type { IngestSlots } from './ingest-slots.ts'
import type { PaceDeps } from './pace.ts'

/** Where an intake puts bytes. Nothing is called before the call before it has ended. */
export interface UploadCommits {
  /** Bytes committed that are not in slices yet. */
  readonly tailLength: number
  /** A new ingest at the end of what is committed. */
  openIngest(): Promise<Ingest>
  /** Makes bytes durable that follow the tail, without cutting them. */
  commitTail(bytes: Uint8Array): Promise<void>
  /** Makes checkpoints durable in the journal, all in one append; releases them in any case. */
  commit(checkpoints: readonly Checkpoint[]): Promise<void>
  /** Asks for space for the bytes until the next checkpoint; throws `insufficient-storage`. */
  renewSpace(): Promise<void>
  /** Lets go of files until the next commit. */
  closeFiles(): Promise<void>
}

export interface BodyIntakeDeps extends PaceDeps {
  /** Bodies with a checksum that hold an ingest open until they are verified. */
  readonly provisionalSlots: IngestSlots
}

export interface BodyIntakeOptions {
  /** Nothing is committed before `commit`: the body has a checksum. */
  readonly isProvisional: boolean
  /** Milliseconds since the body's last byte; 0 while a piece is being taken. */
  readonly quietMs: () => number
  /** Ends every wait for a slot. */
  readonly signal: AbortSignal
  /** Told once when the store fails beside a `take`; every later call is then a loss. */
  readonly onFailure: (error: unknown) => void
}

/** What takes the pieces of one body; plain bytes and slices have one each. */
export interface BodyIntake {
  /** Bytes of the body taken until now. */
  readonly received: number
  /** Whether a body that ended here is all of it. */
  readonly isWhole: boolean
  /** Takes a piece; resolves when there is room for more. Gives false when the wait for a slot was ended: the piece is not taken. */
  take(piece: Uint8Array): Promise<boolean>
  /** To be called before each piece is waited for: hands the slot on when that takes long and others wait. */
  startPiece(): void
  /** To be called several times a second. */
  tick(): void
  /** Commits everything taken. `isLast`: the upload ends here. */
  commit(isLast: boolean): Promise<void>
  /** Lets go of everything. What was not committed is lost. */
  close(): Promise<void>
}
