// Uploads: the tus resources of a store (docs/format.md, "Uploads"). An upload takes bytes straight into slices, tells only
// offsets that are durable, and becomes an image when it is whole.

import { newId } from '../../protocol/ids.ts'
import { problem, ProblemError } from '../../protocol/problems.ts'
import type { ProblemCode } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import { problemOf } from '../contract/failures.ts'
import type { OwnedImage } from '../contract/images.ts'
import type { SliceRoots } from '../contract/slices.ts'
import type { OwnSlices } from '../contract/visibility.ts'
import { appendBody, declareLength, lengthWith } from './append.ts'
import type { UploadBody } from './append.ts'
import { createByteBudget } from './body/byte-budget.ts'
import { completeUpload } from './complete.ts'
import { measureParts, splice } from './concatenation.ts'
import type { Concat } from './concatenation.ts'
import type { UploadsContext, UploadsDeps } from './context.ts'
import { createUpload, refuseCreation, undoCreation } from './create.ts'
import type { UploadOrder } from './create.ts'
import { declareDigest } from './digest-fields.ts'
import { concatenationBytes, lengthLimit, refuseTooLong, spaceKey, UPLOAD_ENTRIES_MAX } from './limits/limits.ts'
import { createOwnSlices, ownerOfActor } from './record/own-slices.ts'
import { createIngestSlots } from './body/ingest-slots.ts'
import { createBodyReaders } from './body/body-readers.ts'
import { restoreUploads, startRecovery } from './recovery.ts'
import { commitTime, createUploadCommits } from './upload-commits.ts'
import { createUploadQuota, QUOTA_LIMITS } from './limits/upload-quota.ts'
import { expireUploads } from './expire.ts'
import type { ExpireOptions } from './expire.ts'
import { createUploadLocks } from './upload-locks.ts'
import type { UploadLock } from './upload-locks.ts'
import { UploadTable } from './record/upload-table.ts'
import { expiresAtMs, isWhole, mayTouch, noSuchUpload, offsetHeader, offsetOf, renewedEndMs, viewOf } from './record/upload.ts'
import type { Upload, UploadView } from './record/upload.ts'

/** How long a request waits for its lock before it is refused, in milliseconds. */
const LOCK_WAIT_MS = 10_000
/** Bodies with a checksum that are taken at the same time: each holds an ingest until it is verified. */
const PROVISIONAL_MAX = 4
/** A HEAD moves the expiry on once this part of the period has passed, so that asking often does not write often. */
const EXPIRY_GRAIN = 24

/** What is going on, for metrics. */
export interface UploadStats {
  /** Uploads that are not images yet, parts among them. */
  readonly unfinished: number
  /** Requests whose body is being taken. */
  readonly receiving: number
  /** Of these, those that wait for a slot. */
  readonly waiting: number
}

export interface Uploads extends AsyncDisposable {
  readonly maxLength: number
  /** Creates an upload, durable when it resolves; with a body, its bytes are appended. Throws ProblemError. */
  create(order: UploadOrder, body?: UploadBody): Promise<UploadView>
  /** The upload as it is durably held. A request that is sending bytes to it is ended first. */
  show(id: string, actor: Actor): Promise<UploadView>
  /** The upload as it was last durably held. Unlike `show` it disturbs no request and moves no expiry. */
  peek(id: string, actor: Actor): Promise<UploadView>
  /** Appends a body at an offset, plain bytes or slices. What arrived is kept however the body ends, save one with a checksum, which is kept whole or not at all. */
  append(id: string, actor: Actor, offset: number, body: UploadBody): Promise<UploadView & { readonly isShort: boolean }>
  /** Removes an upload with its bytes; the image of a finished one stays. */
  remove(id: string, actor: Actor): Promise<void>
  /** Removes expired uploads and the records of uploads whose image is gone; gives their ids. */
  expire(options?: ExpireOptions): Promise<readonly string[]>
  /** The slices that unfinished uploads of this actor hold. */
  ownSlices(actor: Actor): Promise<OwnSlices>
  /** Images that unfinished uploads will become. */
  expectedImages(): Iterable<OwnedImage>
  readonly roots: SliceRoots
  stats(): UploadStats
  /** Milliseconds since a body last put bytes into slices; 0 while one does, infinite before the first. */
  quietMs(): number
  /** Resolves when no upload is being published that an earlier run of the agent, or a failure, left whole. */
  settled(): Promise<void>
  /** Ends all bodies, commits what they brought and refuses new ones. Resolves when nothing is in progress. */
  stop(): Promise<void>
}

/** Opens the uploads of a store. Those that a crash left whole but unpublished are published beside everything else. */
export async function openUploads(deps: UploadsDeps): Promise<Uploads> {
  const { clock } = deps
  const table = await UploadTable.open(deps)
  const ownSlices = createOwnSlices({ clock, live: () => table.live.values(), entries: (id) => table.entries(id) })
  const context: UploadsContext = {
    ...deps,
    entriesMax: deps.entriesMax ?? UPLOAD_ENTRIES_MAX,
    table,
    quota: createUploadQuota(() => table.live.values(), deps.quotaLimits ?? QUOTA_LIMITS),
    ownSlices,
    byteBudget: createByteBudget(clock),
    ingestSlots: createIngestSlots(deps.concurrency, () => clock.monotonicMs()),
    provisionalSlots: createIngestSlots(PROVISIONAL_MAX, () => clock.monotonicMs()),
    bodyReaders: createBodyReaders(clock),
  }
  await restoreUploads(context)
  const { bodyReaders } = context
  const locks = createUploadLocks(clock)
  const recovery = startRecovery(context, locks)
  const stopping = new AbortController()

  const refuseWhenStopping = (): void => {
    stopping.signal.throwIfAborted()
  }

  const acquireLock = async (id: string): Promise<UploadLock> => {
    const lock = await locks.acquire(id, LOCK_WAIT_MS)
    if (!lock) throw problem('upload-locked', `Upload ${id} is in use by another request.`, {}, { headers: { 'Retry-After': '2' } })
    return lock
  }

  const find = async (id: string, actor: Actor): Promise<Upload> => {
    const upload = await table.find(id)
    if (!upload) throw table.wasExpired(id) ? expired(id) : noSuchUpload(id)
    if (!mayTouch(actor, upload.file)) throw noSuchUpload(id)
    const endMs = expiresAtMs(upload, deps.expiryMs)
    if (endMs !== null && clock.nowMs() >= endMs) throw expired(id)
    return upload
  }

  /** Moves the expiry on, durably, and completes what a failure left whole but not complete. */
  const touch = async (upload: Upload, isAlways: boolean): Promise<void> => {
    const endMs = expiresAtMs(upload, deps.expiryMs)
    if (endMs === null) return
    const nowMs = clock.nowMs()
    const isDue = renewedEndMs(upload, deps.expiryMs, nowMs) - endMs > deps.expiryMs / EXPIRY_GRAIN
    if (isAlways || isDue) await commitTime(context, upload)
    await completeUpload(context, upload, createUploadCommits(context, upload))
  }

  /** Takes a body and the length that comes with it; gives whether it was ended before its time by another request. */
  const take = async (upload: Upload, lock: UploadLock, actor: Actor, body: UploadBody): Promise<boolean> => {
    const limit = lengthLimit(deps.maxLength, actor)
    const wasComplete = body.isLast !== undefined && isWhole(upload)
    if (wasComplete && body.length !== undefined && body.length > 0) throw problem('upload-complete', `Upload ${upload.file.id} has all its bytes.`)
    const length = lengthWith(body, offsetOf(upload))
    // Of a body that may be refused as a whole, its length is not kept either.
    const isProvisional = body.checksum !== undefined && body.declaredLength === undefined && upload.file.length === null
    if (!isProvisional) await declareLength(context, upload, length, limit)
    const isShort = await appendBody(context, upload, lock, { actor, body, limit })
    if (body.isLast === true && !isShort) await declareLength(context, upload, offsetOf(upload), limit)
    return isShort
  }

  const createFinal = async (order: UploadOrder, concat: Extract<Concat, { kind: 'final' }>): Promise<UploadView> => {
    using stack = new DisposableStack()
    const parts = new Map<string, Upload>()
    // UploadLocks in one order for all, so that two requests with the same parts never wait for one another.
    for (const id of new Set(concat.parts.toSorted())) {
      stack.use(await acquireLock(id))
      parts.set(id, await find(id, order.actor))
    }
    for (const part of parts.values()) await completeUpload(context, part, createUploadCommits(context, part))
    const list = concat.parts.map((id) => parts.get(id) as Upload)
    const { length, entryCount } = measureParts(list, context.entriesMax)
    if (length > deps.maxLength) throw refuseTooLong(length, deps.maxLength)
    const id = newId('upl', clock.nowMs(), deps.random(16))
    const final = await createUpload(context, order, { id, length, spaceBytes: concatenationBytes(entryCount) })
    stack.use(await acquireLock(id))
    try {
      await splice(list, final, { clock, crashPoint: deps.crashPoint, signal: stopping.signal })
      await completeUpload(context, final, createUploadCommits(context, final))
    } catch (error) {
      // The client never learns the address of an upload whose creation is refused, so it must not stay.
      if (final.file.imageId === null || !deps.publisher.find(final.file.imageId)) await undoCreation(context, order.actor, final.file)
      throw error
    }
    return viewOf(final, deps.expiryMs)
  }

  const stop = async (): Promise<void> => {
    stopping.abort(shuttingDown())
    for (const reader of bodyReaders) reader.end('stopping')
    await recovery[Symbol.asyncDispose]()
    await locks.idle()
  }

  return {
    maxLength: deps.maxLength,

    async create(order, body) {
      refuseWhenStopping()
      refuseCreation(context, order, body)
      if (order.concat?.kind === 'final') return createFinal(order, order.concat)
      const id = newId('upl', clock.nowMs(), deps.random(16))
      using lock = await acquireLock(id)
      const upload = await createUpload(context, order, { id, length: order.length, spaceBytes: order.length ?? 0 })
      try {
        if (body) {
          order.onCreated?.(id)
          await take(upload, lock, order.actor, body)
        }
        await completeUpload(context, upload, createUploadCommits(context, upload))
      } catch (error) {
        // A client whose creation is refused does not learn the address: the upload must not stay. One that was told before can resume it.
        const resumable = order.onCreated ? RESUMABLE : ONLY_CUT
        if (!(error instanceof ProblemError && resumable.has(error.code))) {
          await undoCreation(context, order.actor, upload.file)
        }
        throw error
      }
      return viewOf(upload, deps.expiryMs)
    },

    peek: async (id, actor) => viewOf(await find(id, actor), deps.expiryMs),

    async show(id, actor) {
      using _lock = await acquireLock(id)
      const upload = await find(id, actor)
      await touch(upload, false).catch((error: unknown) => deps.log.warn('upload could not be touched', { upload: id, error }))
      return viewOf(upload, deps.expiryMs)
    },

    async append(id, actor, offset, body) {
      refuseWhenStopping()
      using lock = await acquireLock(id)
      refuseWhenStopping()
      const upload = await find(id, actor)
      if (upload.file.kind === 'final') throw problem('upload-final', `Upload ${id} is a concatenation: it takes no bytes.`)
      const present = offsetOf(upload)
      if (offset !== present) {
        const detail = `The upload holds ${present} bytes; the request begins at ${offset}.`
        throw problem('offset-mismatch', detail, { expectedOffset: present, providedOffset: offset }, { headers: offsetHeader(upload) })
      }
      try {
        await declareDigest(context, upload, body.digest)
        const isShort = await take(upload, lock, actor, body)
        if (offsetOf(upload) === present) await touch(upload, true)
        await completeUpload(context, upload, createUploadCommits(context, upload))
        return { ...viewOf(upload, deps.expiryMs), isShort }
      } catch (error) {
        throw withHeaders(error, offsetHeader(upload))
      }
    },

    async remove(id, actor) {
      using _lock = await acquireLock(id)
      const upload = await find(id, actor)
      await table.remove(upload.file)
      await deps.space.promise(spaceKey(id), 0)
      deps.emit({ type: 'upload.deleted', severity: 'info', subject: id, message: `Upload ${id} was deleted.`, actor: actor.name })
    },

    expire: (options) => expireUploads(context, locks, options),
    ownSlices: (actor) => ownSlices.of(ownerOfActor(actor)),
    *expectedImages() {
      for (const { file } of table.live.values()) {
        if (file.imageId !== null) yield { id: file.imageId, owner: file.draft?.owner ?? null }
      }
    },
    roots: { list: () => table.roots() },
    stats: () => ({ unfinished: table.live.size, receiving: bodyReaders.size, waiting: context.ingestSlots.waiting + context.provisionalSlots.waiting }),
    quietMs: () => context.ingestSlots.idleMs,
    settled: () => recovery.settled(),

    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Endings of a creation's body after which the upload stays: without its address a client learns of none but the loss of its connection. */
const ONLY_CUT: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['upload-cut'])
const RESUMABLE: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['upload-cut', 'request-timeout', 'shutting-down'])

/** The refusal that an error means, with further headers. */
function withHeaders(error: unknown, headers: Readonly<Record<string, string>>): ProblemError {
  const refusal = problemOf(error)
  return new ProblemError(refusal.problem, { cause: refusal.cause, headers: { ...headers, ...refusal.headers } })
}

function shuttingDown(): ProblemError {
  return problem('shutting-down', 'The agent is stopping; nothing acknowledged is lost.', {}, { headers: { 'Retry-After': '5' } })
}

function expired(id: string): ProblemError {
  return problem('upload-expired', `Upload ${id} expired.`)
}
