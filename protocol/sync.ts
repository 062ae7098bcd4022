// Sync: what a target asks of a source.

import { z } from 'zod'
import { SLICES_PER_REQUEST_MAX } from './frames.ts'

const digestText = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hex digits')

export const SYNC_IMAGES_MAX = 1000
/** Longest address of a source in characters. */
const SOURCE_URL_LENGTH_MAX = 2048

/** Everything that may be secret comes as the token: the address is kept with the image and shown to all who may read. */
const sourceUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https address' })
  .max(SOURCE_URL_LENGTH_MAX)
  .meta({ pattern: '^https?://[^/?#@\\\\]+(?:/[^?#@]*)?$' })
  .refine((text) => {
    const url = URL.parse(text)
    return url !== null && url.username === '' && url.password === '' && !/[@?#]/.test(text)
  }, 'must be the plain address of an agent, such as https://store.example:8420: no user name, password, query or fragment')

/** As it can stand in a header (RFC 9110 §5.5): a line end in it would begin another header. */
const sourceToken = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be 1 to 512 printable ASCII characters without spaces or line ends')

/** Body of POST /v1/sync, sent to the target. Images by id or by name at the source. */
export const syncRequestSchema = z.strictObject({
  source: z.strictObject({ url: sourceUrl, token: sourceToken }),
  images: z.array(z.string().min(1).max(255)).min(1).max(SYNC_IMAGES_MAX),
})
export type SyncRequest = z.infer<typeof syncRequestSchema>

/** `result` of a sync task; bytes as they went over the wire. */
export const syncResultSchema = z.object({
  images: z.array(z.object({ id: z.string(), name: z.string(), outcome: z.enum(['copied', 'already-there']) })),
  slicesMoved: z.number(),
  slicesPresent: z.number(),
  bytesMoved: z.number(),
})
export type SyncResult = z.infer<typeof syncResultSchema>

/** Body of POST /v1/slices/missing. */
export const sliceListSchema = z.strictObject({ digests: z.array(digestText).max(SLICES_PER_REQUEST_MAX) })
export type SliceList = z.infer<typeof sliceListSchema>

/** Body of POST /v1/slices/fetch. `image`: id of the image whose slices they are, so that a store that is indexing its images can tell at once. */
export const fetchSlicesSchema = z.strictObject({ ...sliceListSchema.shape, image: z.string().min(1).max(64).optional() })

/** Answer of POST /v1/slices/missing: those of the list that the store does not have. */
export const missingSlicesSchema = z.object({ missing: z.array(digestText) })
