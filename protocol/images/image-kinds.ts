// Which formats an image of each kind may have.

import type { Image, ImageDraft, ImageFormat } from './image.ts'

type ImageKind = Image['kind']

const DISK_FORMATS = ['raw', 'qcow2', 'vmdk'] as const satisfies readonly ImageFormat[]

/** Formats by kind: an installation image (kind `iso`) is an ISO, and everything that a machine uses as its disk is not. */
export const FORMATS_OF_KIND: Readonly<Record<ImageKind, readonly ImageFormat[]>> = {
  system: DISK_FORMATS,
  disk: DISK_FORMATS,
  iso: ['iso'],
  base: DISK_FORMATS,
  template: DISK_FORMATS,
  snapshot: DISK_FORMATS,
  backup: DISK_FORMATS,
  capture: DISK_FORMATS,
  virtualDisk: DISK_FORMATS,
}

/** Returns why an image of this kind cannot have this format, as a sentence; undefined if it can. */
export function kindRefusal(kind: ImageKind, format: ImageFormat): string | undefined {
  const formats = FORMATS_OF_KIND[kind]
  return formats.includes(format) ? undefined : `An image of the kind ${kind} is ${formats.join(', ').replace(/, (?=[^,]+$)/, ' or ')}, not ${format}.`
}

/** Returns the kinds that a new image may have once its bytes are known: what is declared, else an ISO (kind `iso`) or a disk. */
export function possibleKinds({ kind, format }: Pick<ImageDraft, 'kind' | 'format'>): readonly ImageKind[] {
  if (kind !== undefined) return [kind]
  if (format === undefined) return ['disk', 'iso']
  return [format === 'iso' ? 'iso' : 'disk']
}
