// Appends the body of one PATCH, or of a POST that brings bytes, and says how it ended.

import { problem, PROBLEMS } from '../../protocol/problems.ts'
import type { ProblemError } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import { BodyReader } from './body/body-reader.ts'
import type { Body, Ending } from './body/body-reader.ts'
import { isSameDigest, startChecksum } from './body/checksum.ts'
import type { Checksum } from './body/checksum.ts'
import type { UploadsContext } from './context.ts'
import { refuseTooLong } from './limits/limits.ts'
import { ownerOf } from './record/own-slices.ts'
import { offsetHeader, offsetOf } from './record/upload.ts'
import type { Upload } from './record/upload.ts'
import { createUploadCommits } from './upload-commits.ts'
import type { UploadLock } from './upload-locks.ts'

/** Longest body with a checksum in bytes: nothing of it is committed before its last byte. */
export const CHECKSUM_BODY_MAX = 16 * 1024 ** 3

/** A body without bytes for this long is ended, in milliseconds. */
const IDLE_LIMIT_MS = 60_000

/** The body of a request as it arrives. */
export interface UploadBody {
  /** Null when the request has none. */
  readonly stream: ReadableStream<Uint8Array> | null
  /** `Content-Length`; undefined when the body is chunked. */
  readonly length: number | undefined
  /** `Upload-Length` of the request, which ends a deferral. */
  readonly declaredLength: number | undefined
  readonly checksum: Checksum | undefined
  /** The body is frames of slices instead of plain bytes. */
  readonly isSlices: boolean
  /** `Repr-Digest` of the request, `sha256:` and hex. */
  readonly digest?: string | undefined
  /** Whether the upload ends with this body, as `Upload-Complete` says; undefined where the length alone ends it. */
  readonly isLast?: boolean | undefined
}

/** One body, its sender, and the upload that it is appended to. */
export interface Append {
  readonly upload: Upload
  /** The lock of the upload, held until the append has ended. */
  readonly lock: UploadLock
  readonly actor: Actor
  readonly body: UploadBody
  /** Longest upload in bytes that this actor may send; it bounds the body while the length is deferred. */
  readonly limit: number
}

/** How an append ended. Whatever arrived is kept, except for a body with a checksum, which is kept whole or not at all. */
export type AppendOutcome =
  /** The whole body is durable. */
  | { readonly kind: 'appended' }
  /** Another request for the upload ended the body. */
  | { readonly kind: 'superseded' }
  /** The body was refused, or ended early. */
  | { readonly kind: 'refused'; readonly refusal: ProblemError }
  /** The store could not accept the body: broken storage, or a ProblemError of the store. */
  | { readonly kind: 'failed'; readonly error: unknown }

const APPENDED: AppendOutcome = { kind: 'appended' }

/** Appends a body. Resolves when everything that is kept of it is durable. */
export async function appendBody(context: UploadsContext, append: Append): Promise<AppendOutcome> {
  const { upload, body, limit } = append
  if (body.isSlices) return appendSlices(context, append)
  const { length } = upload.file
  const offset = offsetOf(upload)
  const end = length ?? limit
  const room = end - offset
  if (body.length !== undefined && body.length > room) return refused(refuseTooLong(offset + body.length, end))
  if (body.checksum && (body.length ?? 0) > CHECKSUM_BODY_MAX) {
    const detail = `The body has ${body.length} bytes; a body with ${body.checksum.field} can have at most ${CHECKSUM_BODY_MAX}.`
    return refused(problem('payload-too-large', detail, { action: 'Split it into several requests.' }))
  }
  if (!body.stream || body.length === 0) return appendNothing(upload, body.checksum)
  return receive(context, append, end, {
    stream: body.stream,
    room: bodyRoom(room, body.checksum),
    completes: length !== null,
    isMeasured: body.length !== undefined,
    checksum: body.checksum,
  })
}

/** Returns how many bytes of a body are accepted, which may not tell its length: one with a checksum is kept whole or not at all. */
export function bodyRoom(room: number, checksum: Checksum | undefined): number {
  return checksum ? Math.min(room, CHECKSUM_BODY_MAX) : room
}

/**
 * Appends a body of slices. Refuses it with `tail-not-empty` when no slice begins at the present offset, and with `slice-missing` for a
 * reference to a slice that the store does not have or that the actor may not know of.
 */
async function appendSlices(context: UploadsContext, append: Append): Promise<AppendOutcome> {
  const { slices, cutter, crashPoint, visibility, ownSlices } = context
  const { upload, actor, body, limit } = append
  const { length } = upload.file
  const offset = offsetOf(upload)
  if (body.checksum) return refused(problem('invalid-input', `${body.checksum.field} is for plain bytes only: each slice is verified by its own digest.`))
  if (upload.journal.tailLength > 0) {
    const from = upload.journal.covered
    return refused(problem('tail-not-empty', `The ${offset - from} bytes from ${from} to ${offset} are not a slice yet, so no slice can begin at ${offset}.`))
  }
  if (!body.stream || body.length === 0) return APPENDED
  const end = length ?? limit
  const view = visibility.view(actor)
  return receive(context, append, end, {
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

/** A body without bytes has a digest too. */
function appendNothing(upload: Upload, checksum: Checksum | undefined): AppendOutcome {
  const isWrong = checksum && !isSameDigest(startChecksum(checksum.algorithm).digest(), checksum.expected)
  return isWrong ? refused(refuseMismatch(checksum, offsetHeader(upload))) : APPENDED
}

/** Reads one body to its end. `end` is the offset that it may reach. */
async function receive(context: UploadsContext, { upload, lock }: Append, end: number, body: Body): Promise<AppendOutcome> {
  using activity = context.activities.start(upload.file.id, context.ingestSlots)
  const deps = {
    ...context,
    ingestSlots: activity.slots,
    idleLimitMs: context.idleLimitMs ?? IDLE_LIMIT_MS,
    onTick: (received: number) => activity.note(received),
  }
  const reader = new BodyReader(deps, createUploadCommits(context, upload), body)
  context.bodyReaders.add(reader)
  const yieldLock = (): void => reader.endSoon()
  if (lock.contended.aborted) yieldLock()
  else lock.contended.addEventListener('abort', yieldLock, { once: true })
  try {
    const ending = await reader.run()
    return ending === 'failed' ? { kind: 'failed', error: reader.failure } : outcomeOf(ending, { upload, end, checksum: body.checksum })
  } finally {
    context.bodyReaders.delete(reader)
  }
}

interface Received {
  readonly upload: Upload
  readonly end: number
  readonly checksum: Checksum | undefined
}

/** Returns what the ending of a body means for its client. */
function outcomeOf(ending: Exclude<Ending, 'failed'>, { upload, end, checksum }: Received): AppendOutcome {
  const headers = offsetHeader(upload)
  const kept = `${offsetOf(upload)} bytes are stored.`
  switch (ending) {
    case 'end':
      return APPENDED
    case 'superseded':
      return { kind: 'superseded' }
    case 'cut':
      return refused(problem('upload-cut', `The body ended early; ${kept}`, {}, { headers }))
    case 'idle':
      return refused(problem('request-timeout', `No bytes of the body arrived for too long; ${kept}`, {}, { headers }))
    case 'stopping':
      return refused(problem('shutting-down', `The agent is stopping; ${kept}`, {}, { headers: { ...headers, 'Retry-After': '5' } }))
    case 'too-long':
      return refused(problem('payload-too-large', `The body continues after byte ${end}, where the upload ends; ${kept}`, { limit: end }, { headers }))
    case 'checksum-mismatch':
      return refused(refuseMismatch(checksum, headers))
    default:
      return ending satisfies never
  }
}

function refused(refusal: ProblemError): AppendOutcome {
  return { kind: 'refused', refusal }
}

/** Returns the refusal of a body whose digest is not the one that came with it. */
function refuseMismatch(checksum: Checksum | undefined, headers: Record<string, string>): ProblemError {
  const detail = `The body does not match its ${checksum?.field ?? 'digest'}; none of it is kept.`
  if (checksum?.field !== 'Content-Digest') return problem('checksum-mismatch', detail, {}, { headers })
  return problem('digest-mismatch', detail, { action: PROBLEMS['checksum-mismatch'].action }, { headers })
}
