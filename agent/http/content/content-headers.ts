// Headers of content that is sent as a file: its media type and its file name.

import type { ConversionTarget } from '../../../protocol/images/export.ts'
import type { ImageFormat } from '../../../protocol/images/image.ts'
import type { RouteHeader } from '../route.ts'

const FORMATS: Readonly<Record<ImageFormat | ConversionTarget, { readonly type: string; readonly extension: string }>> = {
  raw: { type: 'application/octet-stream', extension: '.raw' },
  qcow2: { type: 'application/x-qemu-disk', extension: '.qcow2' },
  vmdk: { type: 'application/x-vmdk-disk', extension: '.vmdk' },
  iso: { type: 'application/vnd.efi.iso', extension: '.iso' },
  vhd: { type: 'application/x-vhd-disk', extension: '.vhd' },
}
const EXTENSIONS: Readonly<Record<ImageFormat, RegExp>> = { raw: /\.(?:raw|img|bin|dd)$/i, qcow2: /\.(?:qcow2?|img)$/i, vmdk: /\.vmdk$/i, iso: /\.iso$/i }

/** Media types of images and conversions other than `application/octet-stream`, for the OpenAPI document. */
export const IMAGE_MEDIA_TYPES: readonly string[] = Object.values(FORMATS).flatMap(({ type }) => (type === 'application/octet-stream' ? [] : [type]))
/** Extensions that a name loses when the content is converted. */
const ANY_EXTENSION = /\.(?:raw|img|bin|dd|qcow2?|vmdk|iso|vhd)$/i

export function imageContentType(format: ImageFormat | ConversionTarget | null): string {
  return FORMATS[format ?? 'raw'].type
}

/** Returns the file name of an image: its name, plus the extension of its format if the name has none. */
export function imageFileName(name: string, format: ImageFormat | null): string {
  const safe = safeName(name)
  const kind = format ?? 'raw'
  return EXTENSIONS[kind].test(safe) ? safe : safe + FORMATS[kind].extension
}

/** Returns the file name of an image that was converted: its name with the extension of the new format. */
export function convertedFileName(name: string, target: ConversionTarget): string {
  const safe = safeName(name)
  return (safe.replace(ANY_EXTENSION, '') || safe) + FORMATS[target].extension
}

function safeName(name: string): string {
  return name.replaceAll(/[/\\:*?"<>|]/g, '_')
}

/** Returns `attachment` with a name for old clients, and the exact name for others (RFC 6266 §4.3, RFC 8187). */
export function formatDisposition(fileName: string): string {
  const plain = fileName.replaceAll(/[^\u0020-\u007e]/g, '_').replaceAll(/["\\%]/g, '_')
  const exact = encodeURIComponent(fileName).replaceAll(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`
}

/** Headers of answers with content, for the OpenAPI document. */
export const ETAG: RouteHeader = { name: 'ETag', description: 'Strong validator of the content', schema: { type: 'string' } }
export const CONTENT_RANGE: RouteHeader = {
  name: 'Content-Range',
  description: 'The range in the body, and the length of the complete content',
  schema: { type: 'string' },
}
export const CONTENT_HEADERS: readonly RouteHeader[] = [
  ETAG,
  { name: 'Last-Modified', description: 'Time at which the content became available in the store (HTTP date)', schema: { type: 'string' } },
  { name: 'Accept-Ranges', description: 'Always `bytes`', schema: { type: 'string' } },
  { name: 'Content-Disposition', description: 'Suggested file name', schema: { type: 'string' } },
  { name: 'Repr-Digest', description: 'SHA-256 of the complete content (RFC 9530), once it has been computed', schema: { type: 'string' } },
]
