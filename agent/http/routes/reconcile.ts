// The route that compares the catalogue with the mount path.

import { reconcileRequestSchema } from '../../../protocol/reconcile.ts'
import type { Task } from '../../../protocol/task.ts'
import { taskSchema } from '../../../protocol/task.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** Longest body in bytes: it may name many instances. */
const RECONCILE_BODY_MAX = 1024 * 1024

export interface ReconcileRoutesDeps {
  /** Starts the task. Throws ProblemError `limit-reached` and `shutting-down`. */
  readonly start: (order: { readonly apply: string[]; readonly instances?: string[] | undefined }, createdBy: string) => Promise<Task>
}

/** Returns the route POST /v1/store/reconcile. */
export function reconcileRoutes({ start }: ReconcileRoutesDeps): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/store/reconcile',
      access: 'operator',
      summary: 'Compares the catalogue with the mount path, and runs the actions that the body names',
      description: 'Without `apply`, nothing is changed. The result of the task lists the findings, each with an id and with what its action would do.',
      body: reconcileRequestSchema,
      bodyLengthMax: RECONCILE_BODY_MAX,
      answers: { 202: { description: 'The task', schema: taskSchema } },
      run: async ({ body, actor }) => Response.json(await start(body, actor.name), { status: 202 }),
    }),
  ]
}
