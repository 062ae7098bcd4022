// Tasks: long work with progress. Every 202 answer has a task as its body.

import { z } from 'zod'
import { problemSchema } from './problems.ts'
import { syncOrderSchema } from './sync/sync.ts'
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
  'pull-through',
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

/** One part of a task, such as one image of a sync. */
export const taskChildSchema = z.object({
  /** Id of the image. */
  subject: z.string(),
  name: z.string(),
  state: taskStateSchema,
  progress: progressSchema.pick({ done: true, total: true, unit: true }).optional(),
  /** What became of it, in one word. */
  outcome: z.string(),
  error: problemSchema.optional(),
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
  /** What a sync was ordered to do. Only GET /v1/tasks/{id} shows it, to operators, until the task has succeeded or has been ended for 7 days. */
  order: syncOrderSchema.optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: problemSchema.optional(),
  /** The parts of the work, each with its own end. Only GET /v1/tasks/{id} shows them. Pause, cancel and retry of the task act on all of them. */
  children: z.array(taskChildSchema).optional(),
})

export type TaskState = z.infer<typeof taskStateSchema>
export type TaskKind = z.infer<typeof taskKindSchema>
export type Progress = z.infer<typeof progressSchema>
export type TaskChild = z.infer<typeof taskChildSchema>
export type Task = z.infer<typeof taskSchema>
