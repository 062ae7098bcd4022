// The route that starts a sync: copies images from another store to this one.

import type { Role } from '../../../protocol/access.ts'
import { syncRequestSchema } from '../../../protocol/sync/sync.ts'
import type { SyncRequest } from '../../../protocol/sync/sync.ts'
import { taskSchema } from '../../../protocol/task.ts'
import type { Task } from '../../../protocol/task.ts'
import type { StoreGate } from '../../contract/store.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** Longest request in bytes: 1,000 names of 255 characters of four bytes each. */
const SYNC_REQUEST_BYTES_MAX = 1024 * 1024 + 64 * 1024

export interface SyncRoutesDeps {
  readonly sync: { start(request: SyncRequest, createdBy: string, role: Role): Promise<Task> }
  readonly gate: StoreGate
}

/** Returns the route POST /v1/sync. */
export function syncRoutes({ sync, gate }: SyncRoutesDeps): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/sync',
      access: 'operator',
      summary: 'Copies images from another store to this one; only missing slices are transferred',
      description: 'With `dryRun`, the task only plans: its result says what a sync would do with each image.',
      problems: ['store-disabled'],
      body: syncRequestSchema,
      bodyLengthMax: SYNC_REQUEST_BYTES_MAX,
      answers: { 202: { description: 'The task that copies the images', schema: taskSchema } },
      async run({ body, actor }) {
        gate.requireEnabled()
        const task = await sync.start(body, actor.name, actor.role)
        return Response.json(task, { status: 202, headers: { Location: `/v1/tasks/${task.id}` } })
      },
    }),
  ]
}
