// Sync: the request of a client to the target, and the requests of the target to the source.

import { z } from 'zod'
import { SLICES_PER_REQUEST_MAX } from './frames.ts'

const digestText = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hex digits')

export const SYNC_IMAGES_MAX = 1000
/** Longest address of a source in characters. */
const SOURCE_URL_LENGTH_MAX = 2048

/** URL of a source without credentials: it is stored with the image and shown to every client with a token. Secrets belong in the token. */
const sourceUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https address' })
  .max(SOURCE_URL_LENGTH_MAX)
  .meta({ pattern: '^https?://[^/?#@\\\\]+(?:/[^?#@]*)?$' })
  .refine((text) => {
    const url = URL.parse(text)
    return url !== null && url.username === '' && url.password === '' && !/[@?#]/.test(text)
  }, 'must be the plain address of an agent, such as https://store.example:8420: no user name, password, query or fragment')

/** A token that is valid in a header (RFC 9110 §5.5): a line end would start another header. */
const sourceToken = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be 1 to 512 printable ASCII characters without spaces or line ends')

/** Body of POST /v1/sync, sent to the target. `images` are ids or names at the source. */
export const syncRequestSchema = z.strictObject({
  source: z.strictObject({ url: sourceUrl, token: sourceToken }),
  images: z.array(z.string().min(1).max(255)).min(1).max(SYNC_IMAGES_MAX),
})
export type SyncRequest = z.infer<typeof syncRequestSchema>

/** `result` of a sync task. `bytesMoved` counts bytes as transferred, which may be compressed. */
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

/** Body of POST /v1/slices/fetch. `image` is the id of their image, so that a store that is indexing its images can check access immediately. */
export const fetchSlicesSchema = z.strictObject({ ...sliceListSchema.shape, image: z.string().min(1).max(64).optional() })

/** Answer of POST /v1/slices/missing: the slices of the list that the caller must send. */
export const missingSlicesSchema = z.object({ missing: z.array(digestText) })
