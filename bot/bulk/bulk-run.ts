// A bulk run: one operation on several images, item after item. What is kept of it, without how.

import { z } from 'zod'
import { imagePatchSchema } from '../../protocol/images/image.ts'
import { syncLimitsSchema } from '../../protocol/sync/sync-limits.ts'

/** Most images of one run. */
export const BULK_ITEMS_MAX = 1_000
/** Runs of one person that have not ended; the console counts as one person. */
export const BULK_RUNS_PER_USER_MAX = 5
/** Runs of everybody that have not ended. */
export const BULK_RUNS_MAX = 50
/** Ended runs that are kept. */
export const BULK_ENDED_KEPT = 100

export type BulkVerb = 'delete' | 'purge' | 'restore' | 'protect' | 'unprotect' | 'edit' | 'sync' | 'migrate'

/** `cancelling`: what is in progress goes on to its end, and nothing else begins. */
export type BulkState = 'running' | 'cancelling' | 'done' | 'failed' | 'cancelled'

/** `skipped`: the run was cancelled before it. */
export type ItemState = 'waiting' | 'running' | 'done' | 'failed' | 'skipped'

/** What all items have in common: the change of `edit`, the limits of `sync`. */
export const bulkParamsSchema = z.object({ patch: imagePatchSchema.optional(), limits: syncLimitsSchema.optional() })
export type BulkParams = z.infer<typeof bulkParamsSchema>

/**
 * What only one item has. `from`: the stores to copy from; `to`: the store to move to; `wasDeleted`: it was in the recycle bin when the plan was made; `patch`: its own
 * part of a change.
 */
export const itemParamsSchema = z.object({
  from: z.array(z.string()).optional(),
  to: z.string().optional(),
  wasDeleted: z.boolean().optional(),
  patch: imagePatchSchema.optional(),
})
export type ItemParams = z.infer<typeof itemParamsSchema>

/** One image in one store: the store in which `sync` makes the copy, and for everything else the one that has the image. */
export interface DraftItem {
  readonly store: string
  readonly image: string
  readonly name: string
  readonly length: number
  readonly params: ItemParams
}

export interface BulkItem extends DraftItem {
  readonly n: number
  readonly state: ItemState
  /** Id of the task that works on it; empty before there is one. */
  readonly task: string
  /** Row of the audit log that says that it was begun; 0 before. */
  readonly auditSeq: number
  /** How it ended, and what to do next; empty before. */
  readonly detail: string
  readonly next: string
}

export interface BulkDraft {
  readonly verb: BulkVerb
  /** `Delete 12 images`. */
  readonly title: string
  readonly params: BulkParams
  /** `approval 7` for a run that was approved: there is one run for each. Empty otherwise. */
  readonly origin: string
  readonly surface: 'console' | 'slack' | 'service'
  /** Who runs it, and the Slack id and channel of a person; empty in the console. */
  readonly actor: string
  readonly actorId: string
  readonly channel: string
}

export interface BulkRun extends BulkDraft {
  readonly id: number
  readonly state: BulkState
  readonly startedMs: number
  readonly endedMs: number | null
  /** Who cancelled it; empty if nobody did. */
  readonly cancelledBy: string
  /** Items by state. */
  readonly counts: Readonly<Record<ItemState, number>>
  readonly total: number
}

/** The id that people see: `B12`. */
export function bulkId({ id }: Pick<BulkRun, 'id'>): string {
  return `B${id}`
}

/** The number in an id that people write, `B12` or `b12`; undefined for other texts. */
export function parseBulkId(text: string): number | undefined {
  return /^b\d{1,15}$/i.test(text) ? Number(text.slice(1)) : undefined
}

export function hasEnded({ state }: Pick<BulkRun, 'state'>): boolean {
  return state !== 'running' && state !== 'cancelling'
}
