// What the parts of uploads depend on, and what they share.

import type { CutterParameters } from '../../protocol/slices/cutter.ts'
import type { LinkClaims } from '../contract/access.ts'
import type { Disk } from '../contract/disk.ts'
import type { ImageRules } from '../contract/image-rules.ts'
import type { ImageAdmission, ImagePublisher } from '../contract/images.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { SliceIngester } from '../contract/slices.ts'
import type { Space } from '../contract/space.ts'
import type { StoreGate } from '../contract/store.ts'
import type { SliceVisibility } from '../contract/visibility.ts'
import type { EmitEvent } from '../contract/work.ts'
import type { BodyActivities } from './body/body-activity.ts'
import type { ByteBudget } from './body/byte-budget.ts'
import type { OwnSlicesTable } from './record/own-slices.ts'
import type { IngestSlots, SlotPool } from './body/ingest-slots.ts'
import type { BodyReaders } from './body/body-readers.ts'
import type { QuotaLimits, UploadQuota } from './limits/upload-quota.ts'
import type { UploadTable } from './record/upload-table.ts'
import type { UploadLocks } from './upload-locks.ts'

export interface UploadsDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly slices: Pick<SliceIngester, 'ingest' | 'receive'>
  /** How the store cuts images. Slices that arrive whole are checked against it. */
  readonly cutter: CutterParameters
  readonly publisher: Pick<ImagePublisher, 'publish' | 'refuse' | 'find'>
  readonly space: Space
  /** The folder `uploads` of the mount path. */
  readonly folder: string
  /** Period without a request after which an unfinished upload expires. */
  readonly expiryMs: number
  /** Longest upload in bytes. */
  readonly maxLength: number
  /** Uploads that may put bytes into slices at the same time, 1 to 16, until `setConcurrency`. */
  readonly concurrency: number
  /** Most entries of one upload; UPLOAD_ENTRIES_MAX by default. */
  readonly entriesMax?: number
  /** Most unfinished uploads; QUOTA_LIMITS by default. */
  readonly quotaLimits?: QuotaLimits
  /** A body without bytes for this long is ended; a minute by default. */
  readonly idleLimitMs?: number
  /** Which slices of images a body of slices may reference. */
  readonly visibility: SliceVisibility
  readonly gate: Pick<StoreGate, 'requireEnabled'>
  /** Claims a place for the image of a new upload until the upload exists. Without it, every image is admitted. */
  readonly admit?: ImageAdmission['admit']
  /** Which images an actor may add. Without them, all. */
  readonly rules?: ImageRules
  readonly links: LinkClaims
  /** Whether a task is queued or running. The internal upload of such a task does not expire. Without it, no task is. */
  readonly isTaskActive?: (taskId: string) => boolean
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  readonly random: (length: number) => Uint8Array
}

export interface UploadsContext extends UploadsDeps {
  readonly entriesMax: number
  readonly table: UploadTable
  readonly locks: UploadLocks
  readonly quota: UploadQuota
  readonly byteBudget: ByteBudget
  readonly ingestSlots: SlotPool
  readonly provisionalSlots: IngestSlots
  readonly bodyReaders: BodyReaders
  readonly activities: BodyActivities
  readonly ownSlices: OwnSlicesTable
  /** Aborted with a ProblemError when the agent stops. */
  readonly stopping: AbortSignal
}
