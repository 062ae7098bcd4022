// Sync: the request of a client to the target, and the requests of the target to its sources. Versions are negotiated: a store announces those that
// it speaks, and the target uses the highest that both speak. docs/protocol.md, "Sync".

import { z } from 'zod'
import { problemSchema } from '../problems.ts'
import { SLICES_PER_REQUEST_MAX } from '../slices/frames.ts'
import { GRANT_TOKEN_PREFIX, isGrantToken } from './sync-grant.ts'
import { syncLimitsSchema } from './sync-limits.ts'

const digestText = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hex digits')

export const SYNC_IMAGES_MAX = 1000
/** Most stores that one sync copies from. */
export const SYNC_SOURCES_MAX = 8
/**
 * Versions of the protocol between stores that this program speaks, in ascending order. A store that announces none speaks version 1. Version 2 adds
 * `absent` to POST /v1/slices/fetch: a store sends those slices of the list that it has.
 */
export const SYNC_VERSIONS = [1, 2] as const
export type SyncVersion = (typeof SYNC_VERSIONS)[number]
/** Most versions that an announcement lists. */
const SYNC_VERSIONS_MAX = 64

/** Longest announced key in characters; those of this program have 43. */
const STORE_KEY_LENGTH_MAX = 256

/** Member `protocol` of GET /v1/store. `key` is the public key with which the store proves that a grant is for it; a later version may write others. */
export const protocolSchema = z.object({
  sync: z.array(z.int().positive()).min(1).max(SYNC_VERSIONS_MAX),
  key: z.string().max(STORE_KEY_LENGTH_MAX).optional(),
})

/** Returns the highest version that both stores speak; undefined when there is none. `announced` is undefined for a store that announces none. */
export function negotiateVersion(announced: readonly number[] | undefined): SyncVersion | undefined {
  return SYNC_VERSIONS.findLast((version) => (announced ?? [1]).includes(version))
}

/** Longest address of a source in characters. */
const SOURCE_URL_LENGTH_MAX = 2048

/** URL of a source without credentials: it is stored with the image and shown to every client with a token. Secrets belong in the token. */
export const sourceUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https address' })
  .max(SOURCE_URL_LENGTH_MAX)
  .meta({ pattern: '^https?://[^/?#@\\\\]+(?:/[^?#@]*)?$' })
  .refine((text) => {
    const url = URL.parse(text)
    return url !== null && url.username === '' && url.password === '' && !/[@?#]/.test(text)
  }, 'must be the plain address of an agent, such as https://store.example:8420: no user name, password, query or fragment')

/** A token that is valid in a header (RFC 9110 §5.5): a line end would start another header. */
export const sourceToken = z.string().regex(/^[\x21-\x7e]{1,512}$/, 'must be 1 to 512 printable ASCII characters without spaces or line ends')

/** `healing`: the token is a grant for repairs, which the target keeps after the sync, until it ends, to repair its slices from this source. */
const sourceShape = { url: sourceUrl, healing: z.boolean().optional() }
const sourceSchema = z
  .strictObject({ ...sourceShape, token: sourceToken })
  .refine(({ token, healing }) => healing !== true || isGrantToken(token), 'must have the token of a grant with `healing`: other tokens are not kept')
  .meta({ anyOf: [{ properties: { healing: { const: false } } }, { properties: { token: { pattern: `^${GRANT_TOKEN_PREFIX}[\\x21-\\x7e]{1,508}$` } } }] })
export type SourceAddress = z.infer<typeof sourceSchema>

/** What a sync is to do, wherever it copies from. A task that is ordered again has all of it. */
const orderShape = {
  images: z.array(z.string().min(1).max(255)).min(1).max(SYNC_IMAGES_MAX),
  /** Only plans: the result of the task says what a sync would do with each image. Nothing is copied. */
  dryRun: z.boolean().optional(),
  /** Limits of this sync, in addition to those of the store. */
  limits: syncLimitsSchema.optional(),
}

/**
 * Body of POST /v1/sync, sent to the target: one `source`, or several `sources` that have the images or slices of them. `images` are ids or names at
 * the sources.
 */
export const syncRequestSchema = z
  .strictObject({
    source: sourceSchema.optional(),
    sources: z.array(sourceSchema).min(1).max(SYNC_SOURCES_MAX).optional(),
    ...orderShape,
  })
  .refine(({ source, sources }) => (source === undefined) !== (sources === undefined), 'must name either `source` or `sources`')
  .refine(({ sources = [] }) => new Set(sources.map(({ url }) => url)).size === sources.length, 'must name each source once')
  .meta({ oneOf: [{ required: ['source'] }, { required: ['sources'] }] })
export type SyncRequest = z.infer<typeof syncRequestSchema>

/** Member `order` of a task: what was ordered, without the tokens. */
export const syncOrderSchema = z.object({ sources: z.array(z.object({ ...sourceShape, url: z.string() })), ...orderShape })
export type SyncOrder = z.infer<typeof syncOrderSchema>

/**
 * What a source did wrong. `unreachable`: no answer; `busy`: it refused for now; `refused`: it refused for good; `lacks`: it has no such image or
 * slice; `not-allowed`: this store may not connect to it; `protocol-unsupported`: no common version; `slow`: below the least rate, or silent;
 * `cut`: the connection ended within an answer; `redirect`; `not-an-agent`: the answer is none of an agent; `too-long`: more than was announced or
 * is allowed; `truncated`: a complete answer without its end; `bad-manifest`; `wrong-image`: image or manifest are not those that were asked for;
 * `bad-frame`; `unasked-slice`; `wrong-slice`: the bytes do not match the digest.
 */
export const sourceFaultSchema = z.enum([
  'unreachable',
  'busy',
  'refused',
  'lacks',
  'not-allowed',
  'protocol-unsupported',
  'slow',
  'cut',
  'redirect',
  'not-an-agent',
  'too-long',
  'truncated',
  'bad-manifest',
  'wrong-image',
  'bad-frame',
  'unasked-slice',
  'wrong-slice',
])
export type SourceFault = z.infer<typeof sourceFaultSchema>

/** What a source of a sync did. `bytesPerSecond` is null before the first batch; `fault` is the fault that marked it, null when it has none. */
export const sourceReportSchema = z.object({
  url: z.string(),
  storeId: z.string().nullable(),
  slicesMoved: z.number(),
  bytesMoved: z.number(),
  bytesPerSecond: z.number().nullable(),
  faults: z.number(),
  fault: z.object({ name: sourceFaultSchema, detail: z.string() }).nullable(),
})
export type SourceReport = z.infer<typeof sourceReportSchema>

/**
 * What became of one image of a sync. `queued` and `running` while the task runs. `same-as`: this store has the content under another id. `would-…`:
 * what a dry run plans. The others are ends.
 */
export const syncOutcomeSchema = z.enum(['queued', 'running', 'copied', 'already-there', 'same-as', 'failed', 'would-copy', 'would-repair', 'would-restore'])

/** One image of a sync task. Until its source has described it, its id and name are what the request named. */
export const syncImageSchema = z.object({
  id: z.string(),
  name: z.string(),
  outcome: syncOutcomeSchema,
  /** Id of the image of this store that has the same content. */
  sameAs: z.string().optional(),
  /** Bytes on the wire; of a dry run, uncompressed bytes of the slices that are missing. */
  bytesMoved: z.number().optional(),
  /** Bytes of the image that were not moved: slices that this store had, and zeros. */
  bytesPresent: z.number().optional(),
  bytesZero: z.number().optional(),
  /** Uncompressed bytes that are stored, of those that were missing. */
  progress: z.object({ done: z.number(), total: z.number() }).optional(),
  error: problemSchema.optional(),
})
export type SyncImage = z.infer<typeof syncImageSchema>

/**
 * `result` of a sync task, also of one that runs, failed or was cancelled. `bytesMoved` counts bytes as transferred, which may be compressed;
 * `bytesAvoided` those of the images that were not transferred, because this store had them or because they are zeros.
 */
export const syncResultSchema = z.object({
  images: z.array(syncImageSchema),
  slicesMoved: z.number(),
  slicesPresent: z.number(),
  bytesMoved: z.number(),
  bytesAvoided: z.number().optional(),
  dryRun: z.boolean().optional(),
  /** In the order of the request. Tasks of earlier agents do not have it. */
  sources: z.array(sourceReportSchema).optional(),
})
export type SyncResult = z.infer<typeof syncResultSchema>

/** Body of POST /v1/slices/missing. */
export const sliceListSchema = z.strictObject({ digests: z.array(digestText).max(SLICES_PER_REQUEST_MAX) })
export type SliceList = z.infer<typeof sliceListSchema>

/**
 * Body of POST /v1/slices/fetch. `image` is the id of their image, so that a store that is indexing its images can check access immediately. With
 * `absent` (version 2), a slice that the store does not send is a frame without bytes in its place; without it, one such slice refuses the request.
 */
export const fetchSlicesSchema = z.strictObject({ ...sliceListSchema.shape, image: z.string().min(1).max(64).optional(), absent: z.boolean().optional() })

/** Answer of POST /v1/slices/missing: the slices of the list that the caller must send. */
export const missingSlicesSchema = z.object({ missing: z.array(digestText) })
