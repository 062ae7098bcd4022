// A store as its agent describes it.

import { z } from 'zod'
import { imageKindSchema, nameSchema } from './images/image.ts'
import { protocolSchema } from './sync/sync.ts'
import { timeSchema } from './time.ts'
import { SYNC_HOURS_MAX, syncHoursSchema, syncRateSchema } from './sync/sync-limits.ts'

/** Number of images, their total length, and the total of what their slices take if no other image shares them, both in bytes. */
const kindUsageSchema = z.object({ count: z.int(), length: z.number(), storedSize: z.number() })

export type KindUsage = z.infer<typeof kindUsageSchema>

/** Most transfers of a kind at the same time. */
export const CONCURRENCY_MAX = 16
export const deletionSchema = z.enum(['immediate', 'delayed', 'never'])
/** Longest retention in the recycle bin in seconds: ten years. */
export const RETENTION_SECONDS_MAX = 315_360_000
/**
 * What deleting an image does: `immediate` removes it for good, `delayed` keeps it in the recycle bin for `seconds`, `never` keeps it there.
 */
const policyShape = { deletion: deletionSchema, seconds: z.number() }

/** Largest reserve of a store in bytes: 1 PB. */
export const RESERVED_BYTES_MAX = 1e15

/** Most addresses of one network that a store announces. */
const NETWORK_URLS_MAX = 32
const networkUrls = z.array(z.string().max(256)).max(NETWORK_URLS_MAX)
/** A network in CIDR notation, or null if none is configured, and the URLs at which the agent answers in it. */
const networkSchema = z.object({ cidr: z.string().max(64).nullable(), urls: networkUrls })
/** Where an agent answers: `listen` is `network.listen`, unless that is every address. */
export const storeNetworksSchema = z.object({ listen: z.object({ urls: networkUrls }), data: networkSchema, sync: networkSchema })
export type StoreNetworks = z.infer<typeof storeNetworksSchema>
/**
 * `unknown`: not asked yet. `unreachable`: the last request got no answer. `refused`: the origin refuses the token, or it is the store itself, so that
 * only a change of the configuration helps.
 */
export const originStateSchema = z.enum(['unknown', 'reachable', 'unreachable', 'refused'])
export type OriginState = z.infer<typeof originStateSchema>

const syncShape = { bytesPerSecond: z.number().nullable(), hours: z.array(syncHoursSchema) }

const transferShape = { uploadConcurrency: z.number(), downloadConcurrency: z.number() }

export const storeSchema = z.object({
  /** UUID in store.json. It does not change when the mount path is attached to another node. */
  id: z.uuid(),
  name: nameSchema,
  description: z.string(),
  mount: z.string(),
  zone: z.string(),
  scope: z.string(),
  enabled: z.boolean(),
  disabledReason: z.string().nullable(),
  /** Whether images are switched on. While they are off, new images get `feature-disabled`. Agents before 0.1.0 do not tell. */
  imagesEnabled: z.boolean().optional(),
  version: z.string(),
  /** Versions of the protocols between stores that this store speaks. Agents that speak version 1 only do not announce it. */
  protocol: protocolSchema.optional(),
  /** Space of the file system in bytes. `available` is the part of `free` above the reserve. */
  capacity: z.object({
    total: z.number(),
    used: z.number(),
    free: z.number(),
    reserved: z.number(),
    available: z.number(),
  }),
  /** Space used by slices, and the total length of the images, which they would need without deduplication and compression. */
  slices: z.object({
    count: z.number(),
    storedBytes: z.number(),
    imageBytes: z.number(),
    /** imageBytes / storedBytes; null in an empty store. */
    savingRatio: z.number().nullable(),
  }),
  images: z.object({ available: z.number(), deleted: z.number(), other: z.number() }),
  /**
   * Fingerprint of the images, as in protocol/images/fingerprint.ts: it changes when an image that has or had content changes. For tokens that see every image;
   * agents before 0.1.0 do not tell.
   */
  imagesFingerprint: z.string().max(64).optional(),
  /** What the images use, by kind, the recycle bin included. Kinds without images are absent. */
  usage: z.object({ total: kindUsageSchema, byKind: z.partialRecord(imageKindSchema, kindUsageSchema) }).optional(),
  uploads: z.object({ active: z.number() }),
  /** Bytes of image content that came in and went out since the agent was started, at `since`. Agents before 0.1.0 do not tell. */
  traffic: z.object({ received: z.number(), served: z.number(), since: timeSchema }).optional(),
  /** End of the last scrub, which reads every slice; null before the first. Agents before 0.1.0 do not tell. */
  scrubbedAt: timeSchema.nullable().optional(),
  /** Parameters of the cutter in bytes. A client that cuts with the same parameters can send missing slices only. Absent when not offered. */
  cutter: z.object({ block: z.int(), minimum: z.int(), average: z.int(), maximum: z.int() }).optional(),
  /** Agents before 0.1.0 do not tell. */
  networks: storeNetworksSchema.optional(),
  /** Stores from which this one repairs its slices and reads images that it does not have, in the order of the configuration. Absent when there are none. */
  origins: z.array(z.object({ name: nameSchema, url: z.string(), state: originStateSchema })).optional(),
  /**
   * Stores that this one synced with and that made a grant for repairs, newest first. `since` is the time of the last sync. Absent when there are none.
   */
  partners: z.array(z.object({ id: z.string(), name: nameSchema, url: z.string(), state: originStateSchema, since: timeSchema })).optional(),
  /** Transfers that run at the same time. `configured` is what the configuration says; agents before 0.1.0 do not tell. */
  transfer: z.object({ ...transferShape, configured: z.object(transferShape).optional() }),
  /** What deleting an image does now. `configured` is what the configuration says, which applies again when the change of an operator is reset. */
  retention: z.object({ ...policyShape, configured: z.object(policyShape).optional() }),
  /** Limits of all syncs of this store. `bytesPerSecond` is null without a limit, `hours` is empty for all hours. Agents before 0.1.0 do not tell. */
  sync: z.object({ ...syncShape, configured: z.object(syncShape) }).optional(),
  /** Bytes that stay free now, and those of the configuration. Agents before 0.1.0 do not tell. */
  reserve: z.object({ bytes: z.number(), configured: z.number() }).optional(),
  /** Kinds of images that the store takes now, and those of the configuration; an empty list means all kinds. Agents before 0.1.0 do not tell. */
  kinds: z.object({ accepted: z.array(imageKindSchema), configured: z.array(imageKindSchema) }).optional(),
})

/** What a store that copies from another one reads of GET /v1/store, whatever else a later version of the other agent sends. */
export const storeIdentitySchema = storeSchema.pick({ id: true, protocol: true }).extend({ name: z.string() })
export type StoreIdentity = z.infer<typeof storeIdentitySchema>

export type Store = z.infer<typeof storeSchema>

export const storePatchSchema = z
  .strictObject({
    name: nameSchema,
    description: z.string().max(4096),
    imagesEnabled: z.boolean(),
    /** Bytes of the mount path that uploads and syncs never use, at most what the file system has; null means the value of the configuration. */
    reserved: z.int().min(0).max(RESERVED_BYTES_MAX).nullable(),
    /** Kinds of images that the store takes; an empty list means all kinds, null the value of the configuration. Images that are there stay. */
    kinds: z.array(imageKindSchema).max(imageKindSchema.options.length).nullable(),
    /** Members that are absent stay; null means the value of the configuration, 0 no limit, and an empty list all hours. */
    sync: z
      .strictObject({ bytesPerSecond: z.union([z.literal(0), syncRateSchema]).nullable(), hours: z.array(syncHoursSchema).max(SYNC_HOURS_MAX).nullable() })
      .partial(),
    /** How many uploads put bytes into slices at the same time; null means the value of the configuration. Bodies in progress go on. */
    transfer: z.strictObject({ uploadConcurrency: z.int().min(1).max(CONCURRENCY_MAX).nullable() }).partial(),
    /** Members that are absent stay; null means the value of the configuration. Images in the recycle bin keep the time at which they expire. */
    retention: z.strictObject({ deletion: deletionSchema.nullable(), seconds: z.int().min(0).max(RETENTION_SECONDS_MAX).nullable() }).partial(),
  })
  .partial()
  .refine((patch) => Object.keys(patch).length > 0, 'must change at least one member')
  .meta({ minProperties: 1 })

export type StorePatch = z.infer<typeof storePatchSchema>

export const disableStoreSchema = z.strictObject({ reason: z.string().max(500).default('') })
export const cleanupSchema = z.strictObject({ dryRun: z.boolean().default(false) })
