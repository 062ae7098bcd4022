// The headers of tus 1.0.0: what requests say and what answers carry. Pure; Web APIs only.

import { SLICES_MEDIA_TYPE } from '../../protocol/frames.ts'
import { problem } from '../../protocol/problems.ts'

export const TUS_VERSION = '1.0.0'
export const TUS_EXTENSIONS = 'creation,creation-with-upload,creation-defer-length,expiration,termination,checksum,concatenation'
export const OFFSET_MEDIA_TYPE = 'application/offset+octet-stream'

const METHODS = 'POST, HEAD, PATCH, DELETE, OPTIONS'
const REQUEST_HEADERS =
  'Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata, Upload-Defer-Length, Upload-Concat, Upload-Checksum, Upload-Complete, Upload-Draft-Interop-Version, Content-Digest, Repr-Digest, Content-Disposition, X-HTTP-Method-Override, X-Request-Id, X-Requested-With'
const ANSWER_HEADERS =
  'Location, Content-Location, Retry-After, Accept-Patch, Upload-Complete, Upload-Limit, Upload-Draft-Interop-Version, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Defer-Length, Upload-Concat, Upload-Expires, X-Request-Id'
/** How long a browser keeps the answer to a preflight, in seconds. */
const PREFLIGHT_SECONDS = 86_400

/** Throws `unsupported-version` (412, with Tus-Version) unless the request speaks 1.0.0. */
export function requireVersion(request: Request): void {
  const version = request.headers.get('tus-resumable')
  if (version === TUS_VERSION) return
  const detail = version === null ? 'The request has no Tus-Resumable header.' : `Tus-Resumable ${JSON.stringify(version)} is not supported.`
  throw problem('unsupported-version', `${detail} This server speaks ${TUS_VERSION}.`, {}, { headers: { 'Tus-Version': TUS_VERSION } })
}

/** A header that is a byte count; undefined when it is not sent. Throws `invalid-input` when it is not a non-negative integer. */
export function byteCount(request: Request, name: string): number | undefined {
  const text = request.headers.get(name)
  if (text === null) return undefined
  const count = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(count)) throw problem('invalid-input', `${name} must be a non-negative integer up to 2^53-1, not ${JSON.stringify(text)}.`)
  return count
}

/** Throws 415 unless the body is sent as tus wants it, or as slices. */
export function requireBodyMediaType(request: Request): void {
  if (hasMediaType(request, OFFSET_MEDIA_TYPE) || hasMediaType(request, SLICES_MEDIA_TYPE)) return
  const type = request.headers.get('content-type')
  throw problem('unsupported-media-type', `Content-Type must be ${OFFSET_MEDIA_TYPE}${type === null ? '' : `, not ${type}`}.`)
}

export function hasMediaType(request: Request, mediaType: string): boolean {
  return request.headers.get('content-type')?.trim().toLowerCase() === mediaType
}

/** Headers of every answer: the version, and CORS for the origins that may ask. */
export function answerHeaders(request: Request, origins: readonly string[]): Record<string, string> {
  return { 'Tus-Resumable': TUS_VERSION, 'Cache-Control': 'no-store', ...crossOriginHeaders(request, origins) }
}

/** Grants a page of one of the origins the answer with its headers (Fetch standard, "CORS protocol"). */
export function crossOriginHeaders(request: Request, origins: readonly string[]): Record<string, string> {
  const origin = request.headers.get('origin')
  if (origins.length === 0) return {}
  if (origin === null || !(origins.includes(origin) || origins.includes('*'))) return { Vary: 'Origin' }
  return {
    Vary: 'Origin',
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Expose-Headers': ANSWER_HEADERS,
    'Cross-Origin-Resource-Policy': 'cross-origin',
  }
}

/** Headers of the answer to OPTIONS, which is also the preflight of a browser. */
export function optionsHeaders(limits: { maxLength: number; checksumAlgorithms: readonly string[] }, isForeign: boolean): Record<string, string> {
  const preflight: Record<string, string> = isForeign
    ? { 'Access-Control-Allow-Methods': METHODS, 'Access-Control-Allow-Headers': REQUEST_HEADERS, 'Access-Control-Max-Age': String(PREFLIGHT_SECONDS) }
    : {}
  return {
    Allow: METHODS,
    'Tus-Version': TUS_VERSION,
    'Tus-Extension': TUS_EXTENSIONS,
    'Tus-Max-Size': String(limits.maxLength),
    'Tus-Checksum-Algorithm': limits.checksumAlgorithms.join(','),
    ...preflight,
  }
}

/** RFC 9110 §5.6.7 (IMF-fixdate), the form of Upload-Expires. Rounded down: nothing expires before it was said to. */
export function httpDate(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toUTCString()
}
