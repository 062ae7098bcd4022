// Appending: the body of one PATCH, or of a POST that brings bytes, and what its ending means for the client.

import { problem, PROBLEMS } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import { isSameDigest, startChecksum } from './body/checksum.ts'
import type { Checksum } from './body/checksum.ts'
import type { UploadsContext } from './context.ts'
import { promiseSpace, refuseTooLong } from './limits/limits.ts'
import { ownerOf } from './record/own-slices.ts'
import { BodyReader } from './body/body-reader.ts'
import type { Body, Ending } from './body/body-reader.ts'
import { createUploadCommits } from './upload-commits.ts'
import type { UploadLock } from './upload-locks.ts'
import { writeUploadFile } from './record/upload-file.ts'
import { offsetHeader, offsetOf } from './record/upload.ts'
import type { Upload } from './record/upload.ts'

/** Longest body with a checksum in bytes: what it brings is held back until its last byte. */
export const CHECKSUM_BODY_MAX = 16 * 1024 ** 3

/** A body without bytes for so long is ended, in milliseconds. */
const IDLE_LIMIT_MS = 60_000

/** The body of a request as it arrives. */
export interface UploadBody {
  /** Null when the request has none. */
  readonly stream: ReadableStream<Uint8Array> | null
  /** `Content-Length`; undefined when it is chunked. */
  readonly length: number | undefined
  /** `Upload-Length` of the request, which ends a deferral. */
  readonly declaredLength: number | undefined
  readonly checksum: Checksum | undefined
  /** Frames of slices in place of plain bytes. */
  readonly isSlices: boolean
  /** `Repr-Digest` of the request, `sha256:` and hex. */
  readonly digest?: string | undefined
  /** Whether the upload ends with this body, as `Upload-Complete` says; undefined where the length alone ends it. */
  readonly isLast?: boolean | undefined
}

/** A body, who sends it, and the length in bytes that this actor's uploads may have. */
export interface Append {
  readonly actor: Actor
  readonly body: UploadBody
  readonly limit: number
}

/** Takes in the length, up to a limit, of an upload that deferred it. The same length again is no error; another one is. */
export async function declareLength(context: UploadsContext, upload: Upload, length: number | undefined, limit: number): Promise<void> {
  if (length === undefined) return
  const { file } = upload
  if (file.length === length) return
  if (file.length !== null) throw problem('length-mismatch', `The upload has ${file.length} bytes, which cannot become ${length}.`)
  const offset = offsetOf(upload)
  if (length < offset) throw problem('invalid-input', `Upload-Length ${length} is less than the ${offset} bytes that are there.`)
  if (length > limit) throw refuseTooLong(length, limit)
  await promiseSpace(context.space, file, { bytes: length - offset, fitting: length - offset })
  const declared = { ...file, length }
  await writeUploadFile(context.disk, context.folder, declared)
  upload.file = declared
}

/** The length of the whole that a body tells when the upload ends with it (`Upload-Complete: ?1`); undefined when it tells none. */
export function lengthWith(body: UploadBody, offset: number): number | undefined {
  const { declaredLength } = body
  const end = body.isLast === true && body.length !== undefined ? offset + body.length : undefined
  if (end !== undefined && declaredLength !== undefined && end !== declaredLength) {
    throw problem('length-mismatch', `Upload-Length is ${declaredLength}, but the upload would end at byte ${end}.`)
  }
  return declaredLength ?? end
}

/**
 * Takes a body, up to a limit while the length is deferred. Gives whether it was ended before its time by another request. Throws ProblemError for every other ending
 * than its own; what arrived is kept, and the refusal's headers say up to where.
 */
export async function appendBody(context: UploadsContext, upload: Upload, lock: UploadLock, { actor, body, limit }: Append): Promise<boolean> {
  if (body.isSlices) return appendSlices(context, upload, lock, { actor, body, limit })
  const { length } = upload.file
  const offset = offsetOf(upload)
  const room = (length ?? limit) - offset
  if (body.length !== undefined && body.length > room) throw refuseTooLong(offset + body.length, offset + room)
  if (body.checksum && (body.length ?? 0) > CHECKSUM_BODY_MAX) {
    throw problem('payload-too-large', `A body with ${body.checksum.field} may have ${CHECKSUM_BODY_MAX} bytes.`, { action: 'Send it in several requests.' })
  }
  if (!body.stream || body.length === 0) {
    requireEmptyDigest(body.checksum, upload)
    return false
  }
  return receive(context, upload, lock, offset + room, {
    stream: body.stream,
    room: body.checksum ? Math.min(room, CHECKSUM_BODY_MAX) : room,
    completes: length !== null && length === offset + room,
    isMeasured: body.length !== undefined,
    checksum: body.checksum,
  })
}

/**
 * Throws `tail-not-empty` when no slice begins at the present offset, and `slice-missing` for a reference to one that the store lacks or
 * the actor may not know of.
 */
async function appendSlices(context: UploadsContext, upload: Upload, lock: UploadLock, { actor, body, limit }: Append): Promise<boolean> {
  const { slices, cutter, crashPoint, visibility, ownSlices } = context
  const { length } = upload.file
  const offset = offsetOf(upload)
  if (body.checksum) throw problem('invalid-input', 'A checksum is for plain bytes: slices are verified one by one.')
  if (upload.journal.tailLength > 0) {
    const from = upload.journal.covered
    throw problem('tail-not-empty', `The ${offset - from} bytes from ${from} to ${offset} are not a slice yet, so that none begins at ${offset}.`)
  }
  if (!body.stream || body.length === 0) return false
  const end = length ?? limit
  const view = visibility.view(actor)
  return receive(context, upload, lock, end, {
    stream: body.stream,
    room: Number.MAX_SAFE_INTEGER,
    completes: false,
    isMeasured: true,
    checksum: undefined,
    slices: {
      offset,
      length,
      end,
      cutter,
      crashPoint,
      isVisible: (digest) => view.has(digest),
      ownSlices: () => ownSlices.of(ownerOf(upload.file)),
      receive: () => slices.receive(),
    },
  })
}

/** Takes one body to its end; gives whether another request ended it. `end` is the offset that it may reach. */
async function receive(context: UploadsContext, upload: Upload, lock: UploadLock, end: number, body: Body): Promise<boolean> {
  const deps = { ...context, idleLimitMs: context.idleLimitMs ?? IDLE_LIMIT_MS }
  const reader = new BodyReader(deps, createUploadCommits(context, upload), body)
  context.bodyReaders.add(reader)
  const ask = (): void => reader.ask()
  if (lock.contended.aborted) ask()
  else lock.contended.addEventListener('abort', ask, { once: true })
  try {
    const ending = await reader.run()
    if (ending === 'failed') throw reader.failure
    return isEndedEarly(ending, upload, end, body.checksum)
  } finally {
    lock.contended.removeEventListener('abort', ask)
    context.bodyReaders.delete(reader)
  }
}

/** A body of no bytes has a digest too. */
function requireEmptyDigest(checksum: Checksum | undefined, upload: Upload): void {
  if (checksum && !isSameDigest(startChecksum(checksum.algorithm).digest(), checksum.expected)) isEndedEarly('checksum-mismatch', upload, 0, checksum)
}

/** The refusal of a body that is not what its digest says. */
function bodyMismatch(checksum: Checksum | undefined, headers: Record<string, string>): ProblemError {
  const detail = `The body does not have the digest that ${checksum?.field ?? 'the request'} says; nothing of it is kept.`
  if (checksum?.field !== 'Content-Digest') return problem('checksum-mismatch', detail, {}, { headers })
  return problem('digest-mismatch', detail, { action: PROBLEMS['checksum-mismatch'].action }, { headers })
}

function isEndedEarly(ending: Exclude<Ending, 'failed'>, upload: Upload, end: number, checksum: Checksum | undefined): boolean {
  const headers = offsetHeader(upload)
  const kept = `${offsetOf(upload)} bytes are held.`
  switch (ending) {
    case 'end':
      return false
    case 'superseded':
      return true
    case 'cut':
      throw problem('upload-cut', `The body ended before its time; ${kept}`, {}, { headers })
    case 'idle':
      throw problem('request-timeout', `The body brought no bytes for too long; ${kept}`, {}, { headers })
    case 'stopping':
      throw problem('shutting-down', `The agent is stopping; ${kept}`, {}, { headers: { ...headers, 'Retry-After': '5' } })
    case 'too-long':
      throw problem('payload-too-large', `The body goes on after byte ${end}, where the upload ends; ${kept}`, { limit: end }, { headers })
    case 'checksum-mismatch':
      throw bodyMismatch(checksum, headers)
    default:
      return ending satisfies never
  }
}
