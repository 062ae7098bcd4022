// The headers of resumable uploads for HTTP (draft-ietf-httpbis-resumable-upload, interop versions 4 and later), which share their URLs and uploads
// with tus. Pure; Web APIs only.

import { problem, ProblemError } from '../../../protocol/problems.ts'
import type { ProblemCode } from '../../../protocol/problems.ts'
import type { UploadView } from '../../uploads/record/upload.ts'
import { hasMediaType } from './tus.ts'

export const PARTIAL_MEDIA_TYPE = 'application/partial-upload'

const PROBLEM_TYPES = 'https://iana.org/assignments/http-problem-types#'
/** Problems for which the draft defines a type. */
const PROBLEM_NAMES: Partial<Record<ProblemCode, string>> = {
  'offset-mismatch': 'mismatching-upload-offset',
  'upload-complete': 'completed-upload',
  'length-mismatch': 'inconsistent-upload-length',
}
/** Interop versions up to 5 (draft -03) define no media type for an append. */
const UNTYPED_VERSIONS: ReadonlySet<string> = new Set(['4', '5'])
/** Largest integer of a structured field (RFC 9651 §3.3.1). */
const INTEGER_MAX = 999_999_999_999_999

/** Whether a request uses the draft: it has a header or media type of the draft, and no Tus-Resumable. */
export function speaksDraft(request: Request): boolean {
  const { headers } = request
  if (headers.has('tus-resumable')) return false
  return headers.has('upload-draft-interop-version') || headers.has('upload-complete') || hasMediaType(request, PARTIAL_MEDIA_TYPE)
}

/** Returns whether this request completes the upload (`Upload-Complete`); undefined when the header is missing. Throws `invalid-input`. */
export function readComplete(request: Request): boolean | undefined {
  const text = request.headers.get('upload-complete')
  if (text === null) return undefined
  // A boolean, possibly with parameters, which are ignored (RFC 9651 §3.3.6).
  const digit = /^\?([01])\s*(?:;.*)?$/.exec(text.trim())?.[1]
  if (digit === undefined) throw problem('invalid-input', `Upload-Complete must be ?0 or ?1, not ${JSON.stringify(text)}.`)
  return digit === '1'
}

/** Throws `unsupported-media-type`, with the accepted media type, unless an append has the media type of the draft. */
export function requirePartialMediaType(request: Request): void {
  if (hasMediaType(request, PARTIAL_MEDIA_TYPE) || UNTYPED_VERSIONS.has(request.headers.get('upload-draft-interop-version') ?? '')) return
  const detail = `Content-Type must be ${PARTIAL_MEDIA_TYPE}; it is ${request.headers.get('content-type') ?? 'missing'}.`
  throw problem('unsupported-media-type', detail, {}, { headers: { 'Accept-Patch': PARTIAL_MEDIA_TYPE } })
}

/** Returns the metadata in the format of tus: `Upload-Metadata`, plus the file name of `Content-Disposition`; undefined when there is neither. */
export function readMetadata(request: Request): string | undefined {
  const given = request.headers.get('upload-metadata') ?? ''
  const filename = readFilename(request.headers.get('content-disposition') ?? '')
  const hasFilename = /(?:^|,)\s*filename(?:[\s,]|$)/.test(given)
  const pairs = [given.trim(), filename === undefined || hasFilename ? '' : `filename ${new TextEncoder().encode(filename).toBase64()}`]
  return pairs.filter((pair) => pair !== '').join(',') || undefined
}

/** Returns the file name of a Content-Disposition (RFC 6266 §4.3), without folders. */
export function readFilename(disposition: string): string | undefined {
  const extended = /(?:^|;)\s*filename\*\s*=\s*UTF-8'[^']*'([^;\s]+)/i.exec(disposition)?.[1]
  const [, quoted, token] = /(?:^|;)\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]+))/i.exec(disposition) ?? []
  const name = (extended === undefined ? undefined : decodePercent(extended)) ?? quoted?.replaceAll(/\\(.)/g, '$1') ?? token
  return name?.split(/[/\\]/).at(-1) || undefined
}

/** Returns the value of `Upload-Limit`: the longest upload in bytes, and how long an unfinished upload is kept. */
export function uploadLimit(lengthMax: number, ageMaxMs?: number | null): string {
  const size = `max-size=${Math.min(lengthMax, INTEGER_MAX)}`
  return ageMaxMs === undefined || ageMaxMs === null ? size : `${size}, max-age=${Math.max(0, Math.floor(ageMaxMs / 1000))}`
}

/** Headers of every answer to a request of the draft. */
export function draftHeaders(request: Request): Record<string, string> {
  const version = request.headers.get('upload-draft-interop-version')
  return { 'Cache-Control': 'no-store', ...(version !== null && /^\d{1,3}$/.test(version) ? { 'Upload-Draft-Interop-Version': version } : {}) }
}

/** Headers of every refusal: a refused request never completes an upload. */
export function draftErrorHeaders(request: Request): Record<string, string> {
  return { ...draftHeaders(request), ...(request.headers.has('upload-complete') ? { 'Upload-Complete': '?0' } : {}) }
}

/** Returns the headers with the state of an upload. */
export function draftStateHeaders(view: UploadView, lengthMax: number, nowMs: number): Record<string, string> {
  const isComplete = view.length !== null && view.offset === view.length
  const headers: Record<string, string> = {
    'Upload-Offset': String(view.offset),
    'Upload-Complete': isComplete ? '?1' : '?0',
    'Upload-Limit': uploadLimit(lengthMax, view.expiresAtMs === null ? null : view.expiresAtMs - nowMs),
  }
  if (view.length !== null) headers['Upload-Length'] = String(view.length)
  if (view.imageId !== null) headers['Content-Location'] = `/v1/images/${view.imageId}`
  return headers
}

/** Returns a refusal with the type that the draft defines for it, if there is one. */
export function draftRefusal(refusal: ProblemError, lengthMax: number): ProblemError {
  const { code, cause, problem: document } = refusal
  const headers: Record<string, string> = { ...refusal.headers }
  if (document.status === 413) headers['Upload-Limit'] = uploadLimit(lengthMax)
  if (code === 'upload-complete') headers['Upload-Complete'] = '?1'
  const name = PROBLEM_NAMES[code]
  if (name === undefined) return new ProblemError(document, { cause, headers })
  const { expectedOffset, providedOffset, ...rest } = document
  const offsets = expectedOffset === undefined ? {} : { 'expected-offset': expectedOffset, 'provided-offset': providedOffset }
  return new ProblemError({ ...rest, type: `${PROBLEM_TYPES}${name}`, ...offsets }, { cause, headers })
}

function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    // The text is not UTF-8; the caller uses the plain parameter.
    return undefined
  }
}
