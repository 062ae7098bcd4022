// Reconcile: what the catalogue and the mount path disagree about, and what can be done about it on request.

import { z } from 'zod'
import { timeSchema } from './time.ts'

/** Most findings that one result lists; the others are counted. */
export const FINDINGS_LISTED_MAX = 500
/** Most findings that one request names. */
export const FINDINGS_APPLIED_MAX = 500
/** Most instances that one request names. */
export const INSTANCES_MAX = 20_000

export const findingKindSchema = z.enum([
  'unknownFile',
  'temporaryFile',
  'brokenUpload',
  'expiredUpload',
  'exportWithoutImage',
  'exportWithoutFile',
  'imageWithoutBytes',
  'captureWithoutInstance',
])

export type FindingKind = z.infer<typeof findingKindSchema>

/** quarantine moves a file or folder into `quarantine/`; remove deletes it; delete deletes the image as the policy of the store says. */
export const findingActionSchema = z.enum(['quarantine', 'remove', 'delete'])

export const findingSchema = z.object({
  /** The same for the same finding, until what was found changes. */
  id: z.string(),
  kind: findingKindSchema,
  /** Path on the mount path, or id of an image or upload. */
  target: z.string(),
  /** What was found, as a sentence. */
  what: z.string(),
  /** Bytes of the file, upload or image; null if they were not counted. */
  bytes: z.number().nullable(),
  /** When it last changed. */
  since: timeSchema.nullable(),
  action: findingActionSchema,
  /** What the action would do, as a sentence. */
  effect: z.string(),
})

export type Finding = z.infer<typeof findingSchema>

export const findingIdSchema = z.string().regex(/^fnd_[0-9a-f]{16}$/, 'is not the id of a finding')

export const reconcileRequestSchema = z.strictObject({
  /** Ids of findings whose action is to run. Without any, nothing is changed. */
  apply: z.array(findingIdSchema).max(FINDINGS_APPLIED_MAX).default([]),
  /** The instances that exist. Without this list, captures are not looked at. */
  instances: z.array(z.string().min(1).max(255)).max(INSTANCES_MAX).optional(),
})

export type ReconcileRequest = z.input<typeof reconcileRequestSchema>

/** `result` of the task `reconcile`. */
export const reconcileResultSchema = z.object({
  /** What was found and not acted on. At most FINDINGS_LISTED_MAX. */
  findings: z.array(findingSchema),
  /** Findings of each kind, those that are not listed included. */
  counts: z.partialRecord(findingKindSchema, z.int()),
  applied: z.array(
    findingSchema.pick({ id: true, kind: true, target: true, action: true }).extend({ outcome: z.enum(['done', 'refused']), detail: z.string() }),
  ),
  /** Requested findings that do not exist, because an action was completed or something changed. */
  absent: z.array(z.string()),
})

export type ReconcileResult = z.infer<typeof reconcileResultSchema>
