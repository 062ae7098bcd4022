// Usage of a store for bills: who had how many bytes available for how long, and what that costs.

import { z } from 'zod'
import { imageKindSchema } from './image.ts'
import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX } from '../page.ts'
import { timeSchema } from '../time.ts'

/** Most calendar months that one report covers, the first and the last included. */
export const USAGE_MONTHS_MAX = 24

/** A decimal number as text, because binary fractions cannot hold prices exactly. */
export const decimalSchema = z
  .string()
  .regex(/^\d{1,9}(?:\.\d{1,9})?$/, 'must be a decimal number such as "0.05", with at most 9 digits before and after the point')

/** A time, or a date, which is the start of that day in UTC. */
const momentSchema = z.union([z.iso.datetime({ offset: true }), z.iso.date()])

export const usageQuerySchema = z.object({
  /** Start of the range. The start of the current month by default. */
  from: momentSchema.optional(),
  /** End of the range, which is excluded. The present by default. */
  to: momentSchema.optional(),
  /** Limits the report to one owner; an empty text means images without an owner. Callers below operator name themselves, if anybody. */
  owner: z.string().max(255).optional(),
  format: z.enum(['json', 'csv']).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT_MAX).default(PAGE_LIMIT_DEFAULT),
  cursor: z.string().max(512).optional(),
})

export type UsageQuery = Partial<z.input<typeof usageQuerySchema>>

/** Sums as decimal texts. Hours are those of UTC; 1 GB is 10^9 bytes. `cost` is null in a store without a price. */
const figures = {
  gbHours: z.string(),
  /** The same for the stored size of the slices instead of the length of the file. */
  storedGbHours: z.string(),
  cost: z.string().nullable(),
}

const sumSchema = z.object({
  ...figures,
  /** The exact sum of length times milliseconds, an integer. The sums of adjacent ranges add up to that of the whole range. */
  byteMilliseconds: z.string(),
})

/** One period in which an image was available to one owner, or its part in one calendar month. */
export const usageRowSchema = z.object({
  month: z.string(),
  imageId: z.string(),
  name: z.string(),
  kind: imageKindSchema,
  owner: z.string().nullable(),
  from: timeSchema,
  to: timeSchema,
  length: z.number(),
  storedSize: z.number().nullable(),
  ...figures,
})

export type UsageRow = z.infer<typeof usageRowSchema>

export const usageSchema = z.object({
  from: timeSchema,
  to: timeSchema,
  /** Images that are still available count until this time. */
  asOf: timeSchema,
  /** The only owner that the report covers, null for images without an owner. Missing in a report on all owners. */
  owner: z.string().nullable().optional(),
  /** Price of 1 GB for one whole calendar month. It has no currency. Null in a store without a price. */
  pricePerGbMonth: z.string().nullable(),
  total: sumSchema,
  months: z.array(sumSchema.extend({ month: z.string(), hours: z.number() })),
  /** Damaged records of removed images, which are not in the sums. A record that a crash cut and that was then written again is counted here too. */
  damagedRecords: z.int(),
  items: z.array(usageRowSchema),
  next: z.string().nullable(),
})

export type Usage = z.infer<typeof usageSchema>
