// Routes that list, show, cancel and retry tasks.

import { z } from 'zod'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import { taskKindSchema, taskSchema, taskStateSchema } from '../../../protocol/task.ts'
import type { TaskBoard } from '../../contract/work.ts'
import { answerPage } from '../page-answer.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

const idSchema = z.object({ id: z.string().max(64) })
/** Tasks are listed by sequence number, newest first. */
const cursorSchema = z.string().regex(/^\d{1,15}$/, 'must be the next of an earlier page')
const filterSchema = pageQuerySchema.extend({ cursor: cursorSchema.optional(), state: taskStateSchema.optional(), kind: taskKindSchema.optional() })

/** Returns the routes below /v1/tasks. */
export function taskRoutes({ tasks }: { readonly tasks: TaskBoard }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/tasks',
      access: 'viewer',
      summary: 'Lists tasks, newest first',
      query: filterSchema,
      answers: { 200: { description: 'A page of tasks', schema: pageSchema(taskSchema) } },
      run: ({ query }) => answerPage((limit) => tasks.list({ ...query, limit }), query.limit),
    }),
    route({
      method: 'GET',
      path: '/v1/tasks/:id',
      access: 'viewer',
      summary: 'Shows a task',
      params: idSchema,
      answers: { 200: { description: 'The task', schema: taskSchema } },
      run({ params }) {
        const task = tasks.get(params.id)
        if (!task) throw problem('not-found', `There is no task ${JSON.stringify(params.id)}.`)
        return Response.json(task)
      },
    }),
    route({
      method: 'POST',
      path: '/v1/tasks/:id/cancel',
      access: 'operator',
      summary: 'Asks a task to stop',
      problems: ['wrong-status', 'conflict'],
      params: idSchema,
      answers: { 202: { description: 'The task, which stops as soon as possible', schema: taskSchema } },
      run: ({ params, actor }) => Response.json(tasks.cancel(params.id, actor.name), { status: 202 }),
    }),
    route({
      method: 'POST',
      path: '/v1/tasks/:id/retry',
      access: 'operator',
      summary: 'Runs a failed or cancelled task again under the same id',
      problems: ['wrong-status', 'conflict'],
      params: idSchema,
      answers: { 202: { description: 'The task, queued again', schema: taskSchema } },
      run: ({ params, actor }) => Response.json(tasks.retry(params.id, actor.name), { status: 202 }),
    }),
  ]
}
