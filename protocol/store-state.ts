// The state of a store at a position of its event log, as a stream of events sends it.

import { z } from 'zod'
import { healthSchema } from './health.ts'
import { storeSchema } from './store.ts'
import { progressSchema, taskKindSchema, taskStateSchema } from './task.ts'

/** Most tasks in progress that a state names. */
export const STATE_TASKS_MAX = 20

/** A task in progress. */
const stateTaskSchema = z.object({
  id: z.string().max(64),
  kind: taskKindSchema,
  state: taskStateSchema,
  subject: z.string().max(256),
  createdBy: z.string().max(256),
  progress: progressSchema,
})

export const storeStateSchema = z.object({
  /** Id of an event: what this event and all before it changed is in the state. Later events may be in it too, and follow in the stream. */
  position: z.string().regex(/^\d{1,15}$/),
  health: healthSchema,
  /** Null when the agent cannot describe its store, as while its mount path does not answer: the health then says why. */
  store: storeSchema.nullable(),
  /** How many tasks run and wait, and the first STATE_TASKS_MAX of them. */
  tasks: z.object({ running: z.int().min(0), queued: z.int().min(0), items: z.array(stateTaskSchema).max(STATE_TASKS_MAX) }),
})

export type StoreState = z.infer<typeof storeStateSchema>
