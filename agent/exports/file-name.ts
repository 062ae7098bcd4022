// Names of exported files: safe on every file system, and never one that is taken.

import { extname } from 'node:path'
import type { ConversionTarget } from '../../protocol/images/export.ts'
import type { Image, ImageFormat } from '../../protocol/images/image.ts'

/** Longest name in bytes of UTF-8 that Linux file systems take, less the room for a number and a suffix. */
const NAME_BYTES_MAX = 255 - 20
/** Extensions that a name loses when the content is converted. */
const ANY_EXTENSION = /\.(?:raw|img|bin|dd|qcow2?|vmdk|iso|vhd)$/i
const EXTENSIONS: Readonly<Record<ImageFormat, RegExp>> = { raw: /\.(?:raw|img|bin|dd)$/i, qcow2: /\.(?:qcow2?|img)$/i, vmdk: /\.vmdk$/i, iso: /\.iso$/i }
/** Path separators, characters that other systems refuse, control, bidirectional and invisible characters. */
const UNSAFE = /[/\\:*?"<>|\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** Returns the name for the exported file of an image: that of the file it came from, or else its own, with the extension of the format. */
export function exportName(image: Pick<Image, 'name' | 'format' | 'source'>, as: ConversionTarget | undefined): string {
  const safe = safeName(image.source.filename ?? image.name)
  const format = image.format ?? 'raw'
  if (as !== undefined) return withExtension(safe.replace(ANY_EXTENSION, '') || safe, `.${as}`)
  return EXTENSIONS[format].test(safe) ? withExtension(safe.slice(0, -extname(safe).length), extname(safe)) : withExtension(safe, `.${format}`)
}

/** Returns the n-th choice for a name that is taken: `disk (2).raw`. */
export function numberedName(name: string, n: number): string {
  if (n <= 1) return name
  const extension = extname(name)
  return `${name.slice(0, name.length - extension.length)} (${n})${extension}`
}

/** Returns a text without characters that are special in names. Never hidden, and never `.` or `..`. */
function safeName(text: string): string {
  const safe = text
    .replaceAll(UNSAFE, '_')
    .trim()
    .replace(/^\.+/, (dots) => '_'.repeat(dots.length))
  return safe === '' ? 'image' : safe
}

/** Adds an extension, and cuts the name before it where it would be too long. */
function withExtension(stem: string, extension: string): string {
  let cut = stem
  while (Buffer.byteLength(cut + extension) > NAME_BYTES_MAX) cut = cut.replace(/.$/su, '')
  return cut + extension
}
