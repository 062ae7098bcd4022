// Imports: images that a store fetches itself. The plan of a dry run, and the result of a task.

import { z } from 'zod'
import { imageDraftSchema, imageSourceSchema } from './image.ts'

/** Answer to a dry run. */
export const importPlanSchema = z.object({
  dryRun: z.literal(true),
  /** What will be read. `length` is null when the source does not tell. */
  source: z.object({
    kind: imageSourceSchema.shape.kind,
    /** The address without its query, or the path. */
    location: z.string(),
    filename: z.string().nullable(),
    length: z.int().min(0).nullable(),
    /** Whether an interrupted import continues where it ended. */
    canResume: z.boolean(),
  }),
  /** What the image will be. */
  image: imageDraftSchema,
  /** Space in bytes: what the image may need, and what the store has above its reserve. */
  space: z.object({ neededBytes: z.int().min(0).nullable(), availableBytes: z.number() }),
  limits: z.object({
    /** Longest image in bytes that the store accepts. */
    lengthMax: z.number(),
    /** Images of one owner; 0 means no limit. */
    imagesPerOwnerMax: z.int().min(0),
  }),
  /** Reasons for which the import would fail now, one sentence each. */
  objections: z.array(z.string()),
})

export type ImportPlan = z.infer<typeof importPlanSchema>

/** `result` of an import task. */
export const importResultSchema = z.object({ image: z.string(), name: z.string(), length: z.int().min(0) })
export type ImportResult = z.infer<typeof importResultSchema>
