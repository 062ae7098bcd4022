// Upload-Metadata (tus 1.0.0, "Upload-Metadata"): parsed to validate it and to describe the image. The header itself is stored
// and returned as it was sent.

import { imageDraftSchema } from '../../../protocol/images/image.ts'
import type { ImageDraft } from '../../../protocol/images/image.ts'
import type { LinkDraft } from '../../../protocol/upload-link.ts'
import { problem } from '../../../protocol/problems.ts'

/** Longest Upload-Metadata header in characters; the HTTP server bounds the whole header block at 16 KiB. */
export const METADATA_LENGTH_MAX = 12 * 1024
/** Most keys of one header. */
export const METADATA_KEYS_MAX = 64

const DRAFT_KEYS = ['description', 'kind', 'format', 'os', 'cloudInit', 'mediaGroup', 'owner', 'labels', 'sourceInstance', 'decompress', 'digest'] as const
/** Keys that a client with a link cannot set: its image belongs to whoever created the link, who also sorts it. */
const LINK_KEYS: ReadonlySet<string> = new Set(['owner', 'labels'])
const KEY = /^[\u0021-\u002b\u002d-\u007e]+$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

/** What a link decides about the image of its upload. Members that are undefined are left to the client. */
export interface FixedDraft extends LinkDraft {
  readonly name: string | undefined
}

/** What an upload says about its image. */
export interface UploadDescription {
  readonly draft: ImageDraft
  readonly filename: string | null
  readonly device: string | null
}

/** Returns the values by key, as raw bytes. Throws `invalid-input`, which names what is wrong. An empty header has no keys. */
export function parseMetadata(header: string): Map<string, Uint8Array> {
  if (header.length > METADATA_LENGTH_MAX) {
    throw problem('invalid-input', `Upload-Metadata has ${header.length} characters; the limit is ${METADATA_LENGTH_MAX}.`)
  }
  const values = new Map<string, Uint8Array>()
  if (header.trim() === '') return values
  for (const pair of header.split(',')) {
    const [key, value = '', ...rest] = pair.trim().split(' ')
    if (key === undefined || key === '') throw problem('invalid-input', 'Upload-Metadata has an empty key.')
    if (!KEY.test(key)) throw problem('invalid-input', `Upload-Metadata has a key that is not printable ASCII: ${JSON.stringify(key)}.`)
    if (rest.length > 0 || !BASE64.test(value)) throw problem('invalid-input', `Upload-Metadata: the value of ${key} is not Base64.`)
    if (values.has(key)) throw problem('invalid-input', `Upload-Metadata has the key ${key} twice.`)
    if (values.size === METADATA_KEYS_MAX) throw problem('invalid-input', `Upload-Metadata has more than ${METADATA_KEYS_MAX} keys.`)
    values.set(
      key,
      Uint8Array.from(atob(value), (character) => character.charCodeAt(0)),
    )
  }
  return values
}

/**
 * Describes the image from the keys that Slipway knows; other keys are stored in the header only. `fixed` overrides what the client sends by a link,
 * `nameFallback` is used without a name. Throws `invalid-input`, which names the key.
 */
export function describeUpload(values: ReadonlyMap<string, Uint8Array>, nameFallback: string, fixed?: FixedDraft): UploadDescription {
  const text = (key: string): string | undefined => {
    const bytes = values.get(key)
    if (!bytes || bytes.byteLength === 0) return undefined
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    } catch (error) {
      throw problem('invalid-input', `Upload-Metadata: the value of ${key} is not UTF-8.`, { errors: [metadataError(key, 'must be UTF-8')] }, { cause: error })
    }
  }
  const filename = text('filename')
  const given: Record<string, unknown> = { name: fixed?.name ?? text('name') ?? filename ?? nameFallback }
  for (const key of DRAFT_KEYS) {
    const decided = fixed?.[key]
    if (decided !== undefined) given[key] = decided
    if (decided !== undefined || (fixed && LINK_KEYS.has(key))) continue
    const value = text(key)
    if (value !== undefined) given[key] = key === 'cloudInit' || key === 'decompress' ? parseFlag(value) : key === 'labels' ? parseLabels(value) : value
  }
  const parsed = imageDraftSchema.safeParse(given)
  if (!parsed.success) {
    const errors = parsed.error.issues.map((issue) => {
      const key = issue.path.join('.')
      return metadataError(key === 'name' && !values.has('name') ? 'filename' : key, issue.message)
    })
    throw problem('invalid-input', `Upload-Metadata: ${errors[0]?.member}: ${errors[0]?.message}.`, { errors })
  }
  return { draft: parsed.data, filename: filename?.slice(0, 1024) ?? null, device: text('device')?.slice(0, 255) ?? null }
}

function metadataError(member: string, message: string): { in: string; member: string; message: string } {
  return { in: 'Upload-Metadata', member, message }
}

/** Returns the boolean for `true` and `false`; the schema refuses any other text. */
function parseFlag(value: string): unknown {
  return value === 'true' ? true : value === 'false' ? false : value
}

/** Returns the labels that are sent as a JSON object, such as `{"env":"test"}`; the schema refuses any other text. */
function parseLabels(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}
