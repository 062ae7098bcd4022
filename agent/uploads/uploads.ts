// Uploads: the tus resources of a store (docs/format.md, "Uploads"). An upload ingests bytes straight into slices, reports only durable
// offsets, and becomes an image when it is whole.

import { problem } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import type { OwnedImage } from '../contract/images.ts'
import type { InternalUploads } from '../contract/internal-uploads.ts'
import type { SliceRoots } from '../contract/slices.ts'
import type { OwnSlices } from '../contract/visibility.ts'
import type { LiveWork } from '../contract/work.ts'
import type { UploadBody } from './append-body.ts'
import { createBodyActivities } from './body/body-activity.ts'
import { createBodyReaders } from './body/body-readers.ts'
import { createByteBudget } from './body/byte-budget.ts'
import { createIngestSlots } from './body/ingest-slots.ts'
import type { UploadsContext, UploadsDeps } from './context.ts'
import type { UploadOrder } from './create.ts'
import { expireUploads } from './expire.ts'
import type { ExpireOptions } from './expire.ts'
import { createInternalUploads } from './internal-uploads.ts'
import { lockUpload, peekUpload, showUpload } from './find-upload.ts'
import { createUploadsInProgress } from './in-progress.ts'
import type { UploadsInProgress } from './in-progress.ts'
import { UPLOAD_ENTRIES_MAX } from './limits/limits.ts'
import { createUploadQuota, QUOTA_LIMITS } from './limits/upload-quota.ts'
import { createOwnSlices, ownerOfActor } from './record/own-slices.ts'
import { UploadTable } from './record/upload-table.ts'
import { offsetOf } from './record/upload.ts'
import type { UploadView } from './record/upload.ts'
import { restoreUploads, startRecovery } from './recovery.ts'
import { appendRequest, cancelRequest, createRequest, removeRequest, showRequest } from './requests.ts'
import type { AppendRequest, AppendView } from './requests.ts'
import { createUploadTasks } from './upload-tasks.ts'
import { createUploadLocks } from './upload-locks.ts'

/** Bodies with a checksum that are ingested at the same time: each holds an ingest until it is verified. */
const PROVISIONAL_MAX = 4

/** What is in progress, for metrics. */
export interface UploadStats {
  /** Uploads that are not images yet, including parts. */
  readonly unfinished: number
  /** Requests whose body is being read. */
  readonly receiving: number
  /** Those of them that wait for an ingest slot. */
  readonly waiting: number
}

/** What is there of an upload: `unknown` if its record cannot be read, `absent` if it has none. */
export type UploadPresence = 'unfinished' | 'published' | 'unknown' | 'absent'

export interface Uploads extends AsyncDisposable {
  readonly maxLength: number
  /** Creates an upload, durable when it resolves; with a body, its bytes are appended. Throws ProblemError. */
  create(order: UploadOrder, body?: UploadBody): Promise<UploadView>
  /** Returns an upload as it is durably stored, and renews its expiry. Ends a request that is sending bytes to it. */
  show(id: string, actor: Actor): Promise<UploadView>
  /** Returns an upload as it was last durably stored. Unlike `show` it ends no request and renews no expiry. */
  peek(id: string, actor: Actor): Promise<UploadView>
  /**
   * Appends a body at an offset, plain bytes or slices. What arrived is kept however the body ends, except for a body with a checksum, which
   * is kept whole or not at all.
   */
  append(id: string, request: AppendRequest): Promise<AppendView>
  /** Removes an upload and its bytes; the image of a finished upload stays. */
  remove(id: string, actor: Actor): Promise<void>
  /** Removes an upload unless it has become an image. Resolves with whether it was removed. */
  cancel(id: string, actor: Actor): Promise<boolean>
  /** Returns what is there of an upload. */
  presence(id: string): UploadPresence
  /** Removes expired uploads, and records of uploads whose image is gone. Returns their ids. */
  expire(options?: ExpireOptions): Promise<readonly string[]>
  /** Ids of uploads whose record cannot be read. gc keeps their slices. */
  unreadable(): readonly string[]
  /** Moves the folder of an upload that still cannot be read to a path; returns false if it can be read by now. Durable when it resolves. */
  moveUnreadable(id: string, path: string): Promise<boolean>
  /** Images that unfinished uploads will become. */
  expectedImages(): Iterable<OwnedImage>
  /** Shows unfinished uploads, and cancels them by their image. */
  readonly inProgress: UploadsInProgress
  /** Unfinished uploads as tasks. */
  readonly liveTasks: LiveWork
  /** Returns the slices of this actor's unfinished uploads. */
  ownSlices(actor: Actor): Promise<OwnSlices>
  /** Uploads that imports fill. */
  readonly internal: InternalUploads
  readonly roots: SliceRoots
  stats(): UploadStats
  /** Changes how many uploads may put bytes into slices at the same time. A body that does so already goes on. */
  setConcurrency(concurrency: number): void
  /** Milliseconds since an upload last put bytes into slices; 0 while one does, infinite before the first. */
  quietMs(): number
  /** Resolves when recovery publishes no upload. */
  settled(): Promise<void>
  /** Ends all bodies, commits what they brought, and refuses new ones. Resolves when nothing is in progress. */
  stop(): Promise<void>
}

/** Opens the uploads of a store. Recovery publishes in the background what a crash left whole but unpublished. */
export async function openUploads(deps: UploadsDeps): Promise<Uploads> {
  const stopping = new AbortController()
  const context = await openContext(deps, stopping.signal)
  const { table, locks, bodyReaders, ingestSlots, provisionalSlots, ownSlices } = context
  await restoreUploads(context)
  const recovery = startRecovery(context)

  const stop = async (): Promise<void> => {
    stopping.abort(shuttingDown())
    for (const reader of bodyReaders) reader.end('stopping')
    await recovery[Symbol.asyncDispose]()
    await locks.idle()
  }

  return {
    maxLength: deps.maxLength,
    create: (order, body) => createRequest(context, order, body),
    show: (id, actor) => showRequest(context, id, actor),
    peek: async (id, actor) => showUpload(context, await peekUpload(context, id, actor)),
    append: (id, request) => appendRequest(context, id, request),
    remove: (id, actor) => removeRequest(context, id, actor),
    cancel: (id, actor) => cancelRequest(context, id, actor),
    presence: (id) => (table.live.has(id) ? 'unfinished' : table.published.has(id) ? 'published' : table.unreadable.includes(id) ? 'unknown' : 'absent'),
    expire: (options) => expireUploads(context, options),
    unreadable: () => table.unreadable,
    async moveUnreadable(id, path) {
      using _lock = await lockUpload(context, id)
      return await table.moveUnreadable(id, path)
    },
    expectedImages: () => expectedImages(table),
    inProgress: createUploadsInProgress(context),
    liveTasks: createUploadTasks(context),
    ownSlices: (actor) => ownSlices.of(ownerOfActor(actor)),
    internal: createInternalUploads(context),
    roots: { list: () => table.roots() },
    stats: () => ({ unfinished: table.live.size, receiving: bodyReaders.size, waiting: ingestSlots.waiting + provisionalSlots.waiting }),
    setConcurrency: (concurrency) => ingestSlots.resize(concurrency),
    quietMs: () => ingestSlots.idleMs,
    settled: () => recovery.settled(),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

async function openContext(deps: UploadsDeps, stopping: AbortSignal): Promise<UploadsContext> {
  const { clock } = deps
  const table = await UploadTable.open(deps)
  return {
    ...deps,
    entriesMax: deps.entriesMax ?? UPLOAD_ENTRIES_MAX,
    table,
    locks: createUploadLocks(clock),
    quota: createUploadQuota(() => table.live.values(), deps.quotaLimits ?? QUOTA_LIMITS),
    ownSlices: createOwnSlices({ clock, live: () => table.live.values(), entries: (id) => table.entries(id) }),
    byteBudget: createByteBudget(clock),
    ingestSlots: createIngestSlots(deps.concurrency, () => clock.monotonicMs()),
    provisionalSlots: createIngestSlots(PROVISIONAL_MAX, () => clock.monotonicMs()),
    bodyReaders: createBodyReaders(clock),
    activities: createBodyActivities(clock),
    stopping,
  }
}

function* expectedImages({ live }: UploadTable): Generator<OwnedImage> {
  for (const upload of live.values()) {
    const { imageId, draft, length } = upload.file
    if (imageId !== null) yield { id: imageId, owner: draft?.owner ?? null, length: length ?? offsetOf(upload) }
  }
}

function shuttingDown(): ProblemError {
  return problem('shutting-down', 'The agent is stopping; everything acknowledged is stored.', {}, { headers: { 'Retry-After': '5' } })
}
