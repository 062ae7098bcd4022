// The headers of tus 1.0.0 in requests and answers. Pure; Web APIs only.

import { SLICES_MEDIA_TYPE } from '../../../protocol/slices/frames.ts'
import { problem } from '../../../protocol/problems.ts'

const TUS_VERSION = '1.0.0'
const TUS_EXTENSIONS = 'creation,creation-with-upload,creation-defer-length,expiration,termination,checksum,concatenation'
export const OFFSET_MEDIA_TYPE = 'application/offset+octet-stream'

/** Throws `unsupported-version` (412, with Tus-Version) unless the request uses tus 1.0.0. */
export function requireVersion(request: Request): void {
  const version = request.headers.get('tus-resumable')
  if (version === TUS_VERSION) return
  const detail = version === null ? 'The request has no Tus-Resumable header.' : `Tus-Resumable ${JSON.stringify(version)} is not supported.`
  throw problem('unsupported-version', `${detail} This server supports ${TUS_VERSION}.`, {}, { headers: { 'Tus-Version': TUS_VERSION } })
}

/** Returns a header that is a byte count; undefined when it is missing. Throws `invalid-input` when it is not a non-negative integer. */
export function byteCount(request: Request, name: string): number | undefined {
  const text = request.headers.get(name)
  if (text === null) return undefined
  const count = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(count)) throw problem('invalid-input', `${name} must be a non-negative integer up to 2^53-1, not ${JSON.stringify(text)}.`)
  return count
}

/** Throws `unsupported-media-type` unless the body has the media type of tus or of slices. */
export function requireBodyMediaType(request: Request): void {
  if (hasMediaType(request, OFFSET_MEDIA_TYPE) || hasMediaType(request, SLICES_MEDIA_TYPE)) return
  const type = request.headers.get('content-type')
  throw problem('unsupported-media-type', `Content-Type must be ${OFFSET_MEDIA_TYPE}${type === null ? '' : `, not ${type}`}.`)
}

export function hasMediaType(request: Request, mediaType: string): boolean {
  return request.headers.get('content-type')?.trim().toLowerCase() === mediaType
}

/** Headers of every answer. */
export const ANSWER_HEADERS: Readonly<Record<string, string>> = { 'Tus-Resumable': TUS_VERSION, 'Cache-Control': 'no-store' }

/** Headers of the answer to OPTIONS (tus 1.0.0, "OPTIONS"). */
export function optionsHeaders(limits: { maxLength: number; checksumAlgorithms: readonly string[] }): Record<string, string> {
  return {
    ...ANSWER_HEADERS,
    'Tus-Version': TUS_VERSION,
    'Tus-Extension': TUS_EXTENSIONS,
    'Tus-Max-Size': String(limits.maxLength),
    'Tus-Checksum-Algorithm': limits.checksumAlgorithms.join(','),
  }
}

/** Formats a time for Upload-Expires (IMF-fixdate, RFC 9110 §5.6.7). Rounds down, so that clients never rely on an expired upload. */
export function httpDate(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toUTCString()
}
