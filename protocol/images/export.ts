// Exports: images written as files into exports/ on the mount path, and the formats into which content is converted.

import { z } from 'zod'
import { timeSchema } from '../time.ts'

/** Formats that the agent converts content into: `content?as=` and `as` of an export. */
export const CONVERSION_TARGETS = ['raw', 'qcow2', 'vmdk', 'vhd'] as const
export const conversionTargetSchema = z.enum(CONVERSION_TARGETS)
export type ConversionTarget = z.infer<typeof conversionTargetSchema>

/** Body of POST /v1/images/{id}/exports. Without `as`, the file of the image is exported as it was uploaded. */
export const newExportSchema = z.strictObject({
  as: conversionTargetSchema.optional(),
  /** Answers with the plan, and changes nothing. */
  dryRun: z.boolean().optional(),
})
export type NewExport = z.infer<typeof newExportSchema>

/** writing: a task writes the file; ready: the file is complete; deleting: it is being removed. */
export const exportStateSchema = z.enum(['writing', 'ready', 'deleting'])

export const exportSchema = z.object({
  id: z.string(),
  /** Id of the image, and its name when it was exported. */
  image: z.string(),
  imageName: z.string(),
  /** The format into which the image was converted; null for the file as it was uploaded. */
  as: conversionTargetSchema.nullable(),
  state: exportStateSchema,
  /** Name of the file in exports/; while the export is written, the name that it will probably get. */
  name: z.string(),
  /** Path of the file, relative to the mount path. */
  path: z.string(),
  /** Length of the file in bytes; null until it is written. */
  length: z.int().min(0).nullable(),
  /** Id of the task that writes the file. */
  task: z.string().nullable(),
  createdBy: z.string(),
  createdAt: timeSchema,
  readyAt: timeSchema.nullable(),
})
export type Export = z.infer<typeof exportSchema>

/** Answer to a dry run. */
export const exportPlanSchema = z.object({
  dryRun: z.literal(true),
  /** Id and name of the image. */
  image: z.string(),
  imageName: z.string(),
  as: conversionTargetSchema.nullable(),
  /** Path of the file, relative to the mount path, unless another file has the name by then. */
  path: z.string(),
  /** Length of the file in bytes; null when only writing it tells. */
  length: z.int().min(0).nullable(),
  /** Space in bytes: what the file may need, and what the store has above its reserve. */
  space: z.object({ neededBytes: z.int().min(0), availableBytes: z.number() }),
  /** Reasons for which the export would fail now, one sentence each. */
  objections: z.array(z.string()),
})
export type ExportPlan = z.infer<typeof exportPlanSchema>

/** `result` of an export task. */
export const exportResultSchema = z.object({ exportId: z.string(), name: z.string(), path: z.string(), length: z.int().min(0) })
export type ExportResult = z.infer<typeof exportResultSchema>
