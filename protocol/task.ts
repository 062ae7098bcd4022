// Tasks: long work with progress. Every 202 answer has a task as its body.

import { z } from 'zod'
import { problemSchema } from './problems.ts'
import { timeSchema } from './time.ts'

export const taskStateSchema = z.enum(['queued', 'running', 'succeeded', 'failed', 'cancelled'])
export const taskKindSchema = z.enum([
  'sync',
  'gc',
  'scrub',
  'cleanup',
  'expire',
  'import',
  'export',
  'digest',
  'recover',
  'upload',
  'inspect',
  'reconcile',
  'heal',
])

export const progressSchema = z.object({
  done: z.number().min(0),
  /** Null while the total is unknown. */
  total: z.number().min(0).nullable(),
  unit: z.enum(['bytes', 'slices', 'images', 'uploads', 'steps']),
  /** Units per second, measured over the last seconds. */
  rate: z.number().min(0),
  etaSeconds: z.number().min(0).nullable(),
})

export const taskSchema = z.object({
  id: z.string(),
  kind: taskKindSchema,
  state: taskStateSchema,
  progress: progressSchema,
  /** What the task works on: the id of an image or a store, or the name of a schedule. */
  subject: z.string(),
  createdBy: z.string(),
  createdAt: timeSchema,
  endedAt: timeSchema.nullable(),
  /** When an operator paused the task. It does nothing until it is resumed; absent while it is not paused. */
  pausedAt: timeSchema.optional(),
  /** When the task continues, if it waits for a time. */
  continuesAt: timeSchema.optional(),
  /** What the task does or waits for now, in sentences; absent where its state says enough. */
  detail: z.string().optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: problemSchema.optional(),
})

export type TaskState = z.infer<typeof taskStateSchema>
export type TaskKind = z.infer<typeof taskKindSchema>
export type Progress = z.infer<typeof progressSchema>
export type Task = z.infer<typeof taskSchema>
