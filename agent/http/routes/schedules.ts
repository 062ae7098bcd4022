// Routes that list, change and run schedules.

import { z } from 'zod'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import { scheduleNameSchema, schedulePatchSchema, scheduleSchema } from '../../../protocol/schedule.ts'
import type { ScheduleName } from '../../../protocol/schedule.ts'
import { taskSchema } from '../../../protocol/task.ts'
import type { ScheduleBoard } from '../../contract/schedule.ts'
import { pageOf } from '../paging.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

const nameSchema = z.object({ name: z.string().max(64) })

/** Returns the routes below /v1/schedules. */
export function scheduleRoutes({ schedules }: { readonly schedules: ScheduleBoard }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/schedules',
      access: 'viewer',
      summary: 'Lists schedules with their last and next run',
      query: pageQuerySchema,
      answers: { 200: { description: 'A page of schedules', schema: pageSchema(scheduleSchema) } },
      run: ({ query }) =>
        Response.json(
          pageOf(
            schedules.list().toSorted((a, b) => (a.name < b.name ? -1 : 1)),
            (schedule) => schedule.name,
            query,
          ),
        ),
    }),
    route({
      method: 'PATCH',
      path: '/v1/schedules/:name',
      access: 'operator',
      summary: 'Changes when a schedule runs, or pauses it',
      params: nameSchema,
      body: schedulePatchSchema,
      answers: { 200: { description: 'The schedule', schema: scheduleSchema } },
      run: ({ params, body, actor }) => Response.json(schedules.patch(parseName(params.name), body, actor.name)),
    }),
    route({
      method: 'POST',
      path: '/v1/schedules/:name/run',
      access: 'operator',
      summary: 'Runs a schedule now',
      params: nameSchema,
      answers: { 202: { description: 'The new task, or the task that is already in progress', schema: taskSchema } },
      run: async ({ params, actor }) => Response.json(await schedules.run(parseName(params.name), actor.name), { status: 202 }),
    }),
  ]
}

function parseName(text: string): ScheduleName {
  const name = scheduleNameSchema.safeParse(text)
  if (name.success) return name.data
  throw problem('not-found', `There is no schedule ${JSON.stringify(text)}.`, { action: `Use one of ${scheduleNameSchema.options.join(', ')}.` })
}
