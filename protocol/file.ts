// Files of the mount path as they are on disk.

import { z } from 'zod'
import { timeSchema } from './time.ts'

export const fileSchema = z.object({
  name: z.string(),
  kind: z.enum(['file', 'folder', 'other']),
  length: z.int().min(0),
  modifiedAt: timeSchema,
})

export type FileEntry = z.infer<typeof fileSchema>
