// Headers of a content that is sent as a file: its type by format and its name for the one who saves it.

import type { ImageFormat } from '../../protocol/image.ts'

const FORMATS: Readonly<Record<ImageFormat, { readonly type: string; readonly extension: string }>> = {
  raw: { type: 'application/octet-stream', extension: '.raw' },
  qcow2: { type: 'application/x-qemu-disk', extension: '.qcow2' },
  vmdk: { type: 'application/x-vmdk-disk', extension: '.vmdk' },
  iso: { type: 'application/vnd.efi.iso', extension: '.iso' },
}
const EXTENSIONS: Readonly<Record<ImageFormat, RegExp>> = { raw: /\.(?:raw|img|bin|dd)$/i, qcow2: /\.(?:qcow2?|img)$/i, vmdk: /\.vmdk$/i, iso: /\.iso$/i }

export function imageContentType(format: ImageFormat | null): string {
  return FORMATS[format ?? 'raw'].type
}

/** Name under which an image is saved: its own, with the extension of its format where it has none. */
export function imageFileName(name: string, format: ImageFormat | null): string {
  const safe = name.replaceAll(/[/\\:*?"<>|]/g, '_')
  const kind = format ?? 'raw'
  return EXTENSIONS[kind].test(safe) ? safe : safe + FORMATS[kind].extension
}

/** `attachment` with a name for old clients and the exact one for the others (RFC 6266 §4.3, RFC 8187). */
export function formatDisposition(fileName: string): string {
  const plain = fileName.replaceAll(/[^\u0020-\u007e]/g, '_').replaceAll(/["\\%]/g, '_')
  const exact = encodeURIComponent(fileName).replaceAll(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`
}
