// Routes that list, show, cancel, retry, pause and resume tasks.

import { z } from 'zod'
import { roleIncludes } from '../../../protocol/access.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import type { Page } from '../../../protocol/page.ts'
import { problem } from '../../../protocol/problems.ts'
import { taskKindSchema, taskSchema, taskStateSchema } from '../../../protocol/task.ts'
import type { Task, TaskChild } from '../../../protocol/task.ts'
import { syncImageSchema, syncOrderSchema } from '../../../protocol/sync/sync.ts'
import type { SyncImage } from '../../../protocol/sync/sync.ts'
import type { Actor } from '../../contract/access.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { ShownTasks } from '../../contract/work.ts'
import { seenImages } from '../visible/image-mentions.ts'
import type { FindImage } from '../visible/image-mentions.ts'
import { answerPage } from '../page-answer.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { isTaskSeen, pageOfSeen } from '../visible/seen-work.ts'

const idSchema = z.object({ id: z.string().max(64) })
/** Live tasks are listed by id, stored ones by sequence number. */
export const taskCursorSchema = z.string().regex(/^(?:\d{1,15}|tsk_[0-9a-hjkmnp-tv-z]{26})$/, 'must be the next of an earlier page')
const filterSchema = pageQuerySchema.extend({ cursor: taskCursorSchema.optional(), state: taskStateSchema.optional(), kind: taskKindSchema.optional() })

export interface TaskRoutesDeps {
  readonly tasks: ShownTasks
  readonly findImage: FindImage
  readonly clock: Pick<Clock, 'sleep'>
}

/** Returns the routes below /v1/tasks. */
export function taskRoutes({ tasks, findImage, clock }: TaskRoutesDeps): Route[] {
  const pause = (): Promise<void> => clock.sleep(0)
  const isOwn = (id: string, { tokenId }: Actor): boolean => tokenId !== undefined && tasks.isOrderedBy(id, tokenId)
  /** Throws ProblemError unless the actor may cancel and retry the task: below operator, only the imports that its token ordered. */
  const requireChangeable = (id: string, actor: Actor): void => {
    if (roleIncludes(actor.role, 'operator')) return
    const task = tasks.get(id)
    if (!task || !isTaskSeen(task, seenImages(findImage, actor), () => isOwn(id, actor))) throw problem('not-found', `There is no task ${JSON.stringify(id)}.`)
    if (task.kind === 'import' && isOwn(id, actor)) return
    throw problem('forbidden', 'Uploaders may cancel and retry only the imports that they started.', { requiredRole: 'operator' })
  }
  return [
    route({
      method: 'GET',
      path: '/v1/tasks',
      access: 'viewer',
      summary: 'Lists tasks, newest first; tasks about images only if the caller may see the images',
      description: 'Uploads, inspections and digests in progress come first. They are not stored, so they leave the list when they end.',
      query: filterSchema,
      answers: { 200: { description: 'A page of tasks', schema: pageSchema(taskSchema) } },
      run({ query: { limit, cursor, ...filter }, actor }) {
        const seen = seenImages(findImage, actor)
        const list = (count: number, from: string | undefined): Page<Task> => tasks.list({ ...filter, limit: count, cursor: from })
        if (seen.isComplete) return answerPage((count) => list(count, cursor), limit)
        const isSeen = (task: Task): boolean => isTaskSeen(task, seen, () => isOwn(task.id, actor))
        return answerPage((count) => pageOfSeen({ list, isSeen, limit: count, cursor, pause }), limit)
      },
    }),
    route({
      method: 'GET',
      path: '/v1/tasks/:id',
      access: 'viewer',
      summary: 'Shows a task',
      params: idSchema,
      answers: { 200: { description: 'The task', schema: taskSchema } },
      run({ params, actor }) {
        const task = tasks.get(params.id)
        if (!task || !isTaskSeen(task, seenImages(findImage, actor), () => isOwn(task.id, actor)))
          throw problem('not-found', `There is no task ${JSON.stringify(params.id)}.`)
        // Who sees all images sees the names and addresses of the order too.
        const order = task.kind === 'sync' && roleIncludes(actor.role, 'operator') ? syncOrderSchema.safeParse(tasks.paramsOf(task.id)).data : undefined
        return Response.json({ ...withChildren(task), ...(order ? { order } : {}) })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/tasks/:id/cancel',
      access: 'uploader',
      summary: 'Asks a task to stop; uploaders may stop the imports that they started',
      problems: ['wrong-status', 'conflict', 'upload-locked'],
      params: idSchema,
      answers: { 202: { description: 'The task, which stops as soon as possible', schema: taskSchema } },
      async run({ params, actor }) {
        requireChangeable(params.id, actor)
        return Response.json(await tasks.cancel(params.id, actor), { status: 202 })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/tasks/:id/retry',
      access: 'uploader',
      summary: 'Runs a failed or cancelled task again under the same id; uploaders may do so with the imports that they started',
      problems: ['wrong-status', 'conflict'],
      params: idSchema,
      answers: { 202: { description: 'The task, queued again', schema: taskSchema } },
      run({ params, actor }) {
        requireChangeable(params.id, actor)
        return Response.json(tasks.retry(params.id, actor.name), { status: 202 })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/tasks/:id/pause',
      access: 'operator',
      summary: 'Pauses a sync until it is resumed, also through restarts; what it copied is kept',
      problems: ['wrong-status'],
      params: idSchema,
      answers: { 202: { description: 'The task, which stops as soon as possible', schema: taskSchema } },
      run: ({ params, actor }) => Response.json(tasks.pause(params.id, actor.name), { status: 202 }),
    }),
    route({
      method: 'POST',
      path: '/v1/tasks/:id/resume',
      access: 'operator',
      summary: 'Resumes a paused sync, which continues where it stopped',
      problems: ['wrong-status'],
      params: idSchema,
      answers: { 202: { description: 'The task, queued again', schema: taskSchema } },
      run: ({ params, actor }) => Response.json(tasks.resumePaused(params.id, actor.name), { status: 202 }),
    }),
  ]
}

/** Returns a task with its parts. */
function withChildren(task: Task): Task {
  const images = task.kind === 'sync' ? z.array(syncImageSchema).safeParse(task.result?.['images']).data : undefined
  return images ? { ...task, children: images.map((image) => childOf(image, task)) } : task
}

function childOf({ id, name, outcome, progress, error }: SyncImage, task: Task): TaskChild {
  const ended = outcome === 'failed' ? 'failed' : 'succeeded'
  // What a task left behind that has ended was not reached.
  const open = task.endedAt === null ? (outcome === 'running' ? 'running' : 'queued') : 'cancelled'
  const state = outcome === 'queued' || outcome === 'running' ? open : ended
  return { subject: id, name, state, outcome, ...(progress ? { progress: { ...progress, unit: 'bytes' } } : {}), ...(error ? { error } : {}) }
}
