// A publisher that keeps images in memory, idempotent by id as the contract requires. The image stays `creating`.

import { undetected } from '../../../agent/images/formats/inspection.ts'
import type { ImagePublisher, NewImage } from '../../../agent/contract/images.ts'
import { blankImage } from '../../../agent/images/records/image-file.ts'
import type { Image, ImageDraft } from '../../../protocol/images/image.ts'
import type { ManifestEntry } from '../../../protocol/slices/manifest.ts'

export interface PublishedImage {
  readonly image: Image
  readonly entries: readonly ManifestEntry[]
}

export interface MemoryPublisher extends Pick<ImagePublisher, 'publish' | 'refuse' | 'find'> {
  readonly images: ReadonlyMap<string, PublishedImage>
  /** The draft of each image by its id. */
  readonly drafts: ReadonlyMap<string, ImageDraft>
  /** The ids with which `publish` was called, in order. */
  readonly calls: readonly string[]
  /** Removes an image, as if it were purged. */
  remove(id: string): void
  /** When set, `publish` throws it. */
  failure: Error | undefined
}

export function createMemoryPublisher(): MemoryPublisher {
  const images = new Map<string, PublishedImage>()
  const drafts = new Map<string, ImageDraft>()
  const calls: string[] = []
  return {
    images,
    drafts,
    calls,
    failure: undefined,
    find: (id) => images.get(id)?.image,
    remove: (id) => void images.delete(id),
    async publish(image, content) {
      calls.push(image.id)
      if (this.failure) throw this.failure
      const known = images.get(image.id)
      if (known) return known.image
      drafts.set(image.id, image.draft)
      const made = makeImage(image, content.length)
      const entries: ManifestEntry[] = []
      for await (const block of content.blocks()) for (const entry of block) entries.push({ ...entry, digest: entry.digest && entry.digest.slice() })
      images.set(image.id, { image: made, entries })
      return made
    },
    async refuse(image, length, { code, reason }) {
      calls.push(image.id)
      if (this.failure) throw this.failure
      const known = images.get(image.id)
      if (known) return known.image
      const made: Image = { ...makeImage(image, length), status: 'error', statusReason: reason, formatDetails: undetected(code) }
      images.set(image.id, { image: made, entries: [] })
      return made
    },
  }
}

function makeImage({ id, draft, source }: NewImage, length: number): Image {
  const { name, description, kind, format, os, cloudInit, mediaGroup, owner } = draft
  const known = { id, name, description, kind: kind ?? 'disk', format: format ?? null, length, source } as const
  const told = { os: os ?? null, cloudInit: cloudInit ?? null, mediaGroup: mediaGroup ?? null, owner: owner ?? null }
  return blankImage({ ...known, ...told }, Date.UTC(2026, 0, 1))
}
