// Uploads in progress as operators see them: state, reason, rate and the image that each will become. Everything is derived from the table of
// uploads and from the bodies that are being read; nothing is written.

import type { Page } from '../../protocol/page.ts'
import { problem } from '../../protocol/problems.ts'
import { formatTime } from '../../protocol/time.ts'
import { formatSize } from '../../protocol/units.ts'
import { UPLOADING_MS } from '../../protocol/upload.ts'
import type { Upload as ShownUpload, UploadState } from '../../protocol/upload.ts'
import type { Actor } from '../contract/access.ts'
import { isDiskFull } from '../contract/failures.ts'
import type { ImageInProgress } from '../contract/images.ts'
import { recordPublished } from './complete.ts'
import type { UploadsContext } from './context.ts'
import { isHeld, lockUpload, peekUpload } from './find-upload.ts'
import { spaceKey } from './limits/limits.ts'
import { expiresAtMs, isWhole, mayCancel, mayTouch, newImageOf, offsetOf } from './record/upload.ts'
import type { Upload } from './record/upload.ts'
import { cancelRequest } from './requests.ts'

/** Which uploads to list. The cursor is the id of the last upload of the previous page. */
export interface UploadListing {
  readonly state?: UploadState | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/** What became of a request to cancel: `absent` if no unfinished upload becomes the image, `held` if a task fills it, which has to end first. */
export type CancelOutcome = { readonly kind: 'cancelled' } | { readonly kind: 'absent' } | { readonly kind: 'held'; readonly taskId: string }

export interface UploadsInProgress {
  /** Returns the unfinished uploads that an actor may use, newest first. */
  list(actor: Actor, listing: UploadListing): Page<ShownUpload>
  /** Returns one of them. Throws ProblemError `not-found`, `upload-expired`, or `wrong-status` for one that has become an image. */
  describe(id: string, actor: Actor): Promise<ShownUpload>
  /** Iterates over the images that unfinished uploads will become. */
  images(): Iterable<ImageInProgress>
  /** Returns the image with this id that an unfinished upload will become. */
  image(imageId: string): ImageInProgress | undefined
  /** Records durably that an upload has become its image, which exists: see ImagesInProgress. */
  recordPublished(imageId: string): Promise<void>
  /**
   * Cancels the upload of an image that is not published yet, for the token that uploads it and for administrators. Throws ProblemError `forbidden`
   * for other actors.
   */
  cancelImage(imageId: string, actor: Actor): Promise<CancelOutcome>
  /** Iterates over all unfinished uploads. */
  all(): Iterable<ShownUpload>
}

/** Creates the view of the uploads of a store. */
export function createUploadsInProgress(context: UploadsContext): UploadsInProgress {
  const { table, clock } = context
  const show = (upload: Upload): ShownUpload => shownUpload(context, upload)
  const isShown = (upload: Upload): boolean => isHeld(context, upload) || (expiresAtMs(upload, context.expiryMs) ?? 0) > clock.nowMs()
  const inProgress = (upload: Upload): ImageInProgress | undefined => {
    const image = newImageOf(upload.file)
    if (image === undefined || !isShown(upload)) return undefined
    const { state, stateReason, offset, length } = show(upload)
    return { image, state, reason: stateReason, length: length ?? offset, createdAtMs: upload.file.createdAtMs }
  }
  const uploadOf = (imageId: string): Upload | undefined => {
    for (const upload of table.live.values()) if (upload.file.imageId === imageId) return upload
    return undefined
  }
  return {
    list(actor, { state, limit, cursor }) {
      const items: ShownUpload[] = []
      const mine = [...table.live.values()].filter((upload) => isBefore(upload, cursor) && mayTouch(actor, upload.file) && isShown(upload))
      for (const upload of mine.toSorted((a, b) => (a.file.id < b.file.id ? 1 : -1))) {
        const shown = show(upload)
        if (state !== undefined && shown.state !== state) continue
        if (items.length === limit) return { items, next: items.at(-1)?.id ?? null }
        items.push(shown)
      }
      return { items, next: null }
    },
    async describe(id, actor) {
      const upload = await peekUpload(context, id, actor)
      if (upload.file.publishedAtMs === null) return show(upload)
      throw problem('wrong-status', `Upload ${id} has become image ${upload.file.imageId}.`, { action: 'Show the image.', imageId: upload.file.imageId })
    },
    *images() {
      for (const upload of table.live.values()) {
        const image = inProgress(upload)
        if (image) yield image
      }
    },
    image(imageId) {
      const upload = uploadOf(imageId)
      return upload && inProgress(upload)
    },
    async recordPublished(imageId) {
      const id = uploadOf(imageId)?.file.id
      if (id === undefined) return
      using _lock = await lockUpload(context, id)
      const upload = await table.find(id)
      if (!upload || upload.file.publishedAtMs !== null) return
      try {
        await recordPublished(context, upload)
      } catch (error) {
        if (!isDiskFull(error)) throw error
        // Images must be deletable on a full disk, and removing the upload needs no space.
        await table.remove(upload.file)
      }
      await context.space.promise(spaceKey(id), 0)
    },
    async cancelImage(imageId, actor) {
      const upload = uploadOf(imageId)
      if (!upload) return { kind: 'absent' }
      if (!mayCancel(actor, upload.file)) {
        throw problem('forbidden', `Image ${upload.file.draft?.name ?? imageId} is being uploaded by ${upload.file.creator}.`, {
          action: 'Ask the token that uploads it, or an administrator, to delete it.',
        })
      }
      if (upload.file.internal && isHeld(context, upload)) return { kind: 'held', taskId: upload.file.internal.taskId }
      return { kind: (await cancelRequest(context, upload.file.id, actor)) ? 'cancelled' : 'absent' }
    },
    *all() {
      for (const upload of table.live.values()) if (isShown(upload)) yield show(upload)
    },
  }
}

function isBefore({ file }: Upload, cursor: string | undefined): boolean {
  return cursor === undefined || file.id < cursor
}

/** Returns an upload in progress as clients see it. */
export function shownUpload(context: UploadsContext, upload: Upload): ShownUpload {
  const { clock, expiryMs, ingestSlots } = context
  const seen = context.activities.of(upload.file.id)
  const { id, kind, length, imageId, draft, creator, device, filename, createdAtMs } = upload.file
  const offset = offsetOf(upload)
  const activeAtMs = Math.max(createdAtMs, upload.journal.bytesTimeMs, seen?.activeAtMs ?? 0)
  const taskId = isHeld(context, upload) ? (upload.file.internal?.taskId ?? null) : null
  const endMs = taskId === null ? expiresAtMs(upload, expiryMs) : null
  const facts: UploadFacts = {
    offset,
    length,
    isWhole: isWhole(upload),
    kind,
    activeAtMs,
    endMs,
    waitingSinceMs: seen?.waitingSinceMs ?? null,
    concurrency: ingestSlots.count,
    taskId,
  }
  const rate = seen?.rate ?? 0
  return {
    id,
    kind,
    ...stateOf(facts, clock.nowMs()),
    offset,
    length,
    rate,
    etaSeconds: length === null || rate === 0 ? null : Math.max(0, Math.round((length - offset) / rate)),
    name: draft?.name ?? null,
    imageId,
    owner: draft?.owner ?? null,
    creator,
    device,
    filename,
    createdAt: formatTime(createdAtMs),
    activeAt: formatTime(activeAtMs),
    expiresAt: endMs === null ? null : formatTime(endMs),
  }
}

/** What the state of an upload depends on. Times are in milliseconds since 1970. */
export interface UploadFacts {
  readonly kind: 'whole' | 'partial' | 'final'
  readonly offset: number
  readonly length: number | null
  readonly isWhole: boolean
  /** When bytes last arrived, or the creation. */
  readonly activeAtMs: number
  /** When the upload expires; null for never. */
  readonly endMs: number | null
  /** Since when its body waits for a slot; null while it does not. */
  readonly waitingSinceMs: number | null
  /** Uploads that may put bytes into slices at the same time. */
  readonly concurrency: number
  /** The task that fetches its bytes; null when a client sends them. */
  readonly taskId: string | null
}

/** Returns the state of an upload, and in sentences why and what happens next. */
export function stateOf(facts: UploadFacts, nowMs: number): Pick<ShownUpload, 'state' | 'stateReason'> {
  const { offset, length, activeAtMs, waitingSinceMs, endMs, concurrency, taskId } = facts
  const held = length === null ? `${formatSize(offset)} have arrived` : `${formatSize(offset)} of ${formatSize(length)} have arrived`
  const pending = (stateReason: string) => ({ state: 'pending' as const, stateReason })
  if (facts.isWhole && facts.kind === 'partial')
    return pending(`All ${formatSize(offset)} of this part have arrived. It waits to be concatenated${untilEnd(endMs)}.`)
  if (facts.isWhole) return pending(`All ${formatSize(offset)} have arrived. The agent makes an image of them; if that does not end, check store health.`)
  if (waitingSinceMs !== null) {
    const limit = `transfer.upload-concurrency is ${concurrency}`
    return pending(`${held}. It waits for another upload to end since ${formatTime(waitingSinceMs)} (${limit}), and then continues by itself.`)
  }
  if (nowMs - activeAtMs < UPLOADING_MS) return { state: 'uploading', stateReason: `${held}. It becomes an image when the last byte has arrived.` }
  if (taskId !== null)
    return pending(`${held}, none since ${formatTime(activeAtMs)}. Task ${taskId} fetches its bytes: task show ${taskId} says what it waits for.`)
  return pending(
    `${held}, none since ${formatTime(activeAtMs)}. It waits for its client to continue from byte ${offset}${untilEnd(endMs)}, or cancel it with upload cancel.`,
  )
}

function untilEnd(endMs: number | null): string {
  return endMs === null ? '' : `, until it expires at ${formatTime(endMs)}`
}
