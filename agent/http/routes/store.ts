// The store as a whole: what it is, its settings, and the three things operators do with it.

import type { z } from 'zod'
import { problem } from '../../../protocol/problems.ts'
import { cleanupSchema, disableStoreSchema, storePatchSchema, storeSchema } from '../../../protocol/store.ts'
import type { Store } from '../../../protocol/store.ts'
import { taskSchema } from '../../../protocol/task.ts'
import type { Task } from '../../../protocol/task.ts'
import type { HealthBoard } from '../../contract/health.ts'
import type { SliceStats } from '../../contract/slices.ts'
import type { Space } from '../../contract/space.ts'
import type { StoreSettings } from '../../contract/store.ts'
import type { Clock } from '../../contract/runtime.ts'
import type { EmitEvent } from '../../contract/work.ts'
import { withinDeadline } from '../deadline.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** How long the file system may take to tell its space, in milliseconds. */
const SPACE_MS_MAX = 2000

export interface StoreRoutesDeps {
  readonly clock: Clock
  readonly emit: EmitEvent
  readonly settings: StoreSettings
  readonly health: Pick<HealthBoard, 'refresh'>
  /** What does not change while the agent runs. */
  readonly facts: Pick<Store, 'id' | 'mount' | 'zone' | 'scope' | 'version' | 'cutter' | 'transfer' | 'retention'>
  readonly space: Pick<Space, 'state'>
  readonly sliceStats: () => Pick<SliceStats, 'slices' | 'storedBytes'>
  /** Images by their place in life, and the length of all that are kept, in bytes. */
  readonly images: () => Promise<Store['images'] & { readonly imageBytes: number }>
  readonly uploadsActive: () => number
  /** Starts the task that prunes the recycle bin and then runs gc. */
  readonly cleanup: (dryRun: boolean, createdBy: string) => Promise<Task>
}

/** Routes below /v1/store. */
export function storeRoutes(deps: StoreRoutesDeps): Route[] {
  const { settings, emit } = deps
  const answers = { 200: { description: 'The store', schema: storeSchema } }
  const show = async (): Promise<Response> => Response.json(await describe(deps))
  const change = <Body extends z.ZodType | undefined = undefined>(
    path: string,
    summary: string,
    run: (body: Body extends z.ZodType ? z.output<Body> : undefined, by: string) => Promise<void> | void,
    body?: Body,
  ): Route =>
    route<undefined, undefined, Body>({
      method: 'POST',
      path,
      access: 'operator',
      summary,
      ...(body === undefined ? {} : { body }),
      answers,
      async run(context) {
        await run(context.body, context.actor.name)
        return show()
      },
    })

  return [
    route({ method: 'GET', path: '/v1/store', access: 'viewer', summary: 'Shows the store', answers, run: show }),
    route({
      method: 'PATCH',
      path: '/v1/store',
      access: 'operator',
      summary: 'Changes name and description of the store',
      body: storePatchSchema,
      answers,
      run({ body, actor }) {
        settings.update(body)
        emit({ type: 'store.changed', severity: 'info', subject: deps.facts.id, actor: actor.name, message: `${actor.name} changed the store.`, details: body })
        return show()
      },
    }),
    change('/v1/store/enable', 'Lets the store take new images and uploads again', (_body, by) => {
      if (settings.isEnabled()) return
      settings.enable()
      emit({ type: 'store.enabled', severity: 'info', subject: deps.facts.id, actor: by, message: `${by} enabled the store.` })
    }),
    change(
      '/v1/store/disable',
      'Refuses new images and uploads; what is there stays readable',
      ({ reason }, by) => {
        settings.disable(reason)
        const why = reason === '' ? '' : `: ${reason}`
        emit({
          type: 'store.disabled',
          severity: 'warning',
          subject: deps.facts.id,
          actor: by,
          message: `${by} disabled the store${why}.`,
          details: { reason },
        })
      },
      disableStoreSchema,
    ),
    change('/v1/store/reconnect', 'Looks at the mount path anew', async () => {
      const { checks } = await deps.health.refresh()
      const failed = checks.find((check) => check.name === 'mount-path' && check.state === 'failed')
      if (failed) throw problem('store-unavailable', `${failed.measured}.`, { action: failed.action })
    }),
    route({
      method: 'POST',
      path: '/v1/store/cleanup',
      access: 'operator',
      summary: 'Prunes the recycle bin and frees unreferenced slices',
      body: cleanupSchema,
      answers: { 202: { description: 'The task', schema: taskSchema } },
      run: async ({ body, actor }) => Response.json(await deps.cleanup(body.dryRun, actor.name), { status: 202 }),
    }),
  ]
}

async function describe({ settings, facts, space, sliceStats, images, uploadsActive, clock }: StoreRoutesDeps): Promise<Store> {
  const { totalBytes, freeBytes, reservedBytes, availableBytes } = await withinDeadline(clock, space.state(), SPACE_MS_MAX)
  const { slices, storedBytes } = sliceStats()
  const { imageBytes, available, deleted, other } = await images()
  return {
    ...facts,
    ...settings.current(),
    capacity: { total: totalBytes, used: totalBytes - freeBytes, free: freeBytes, reserved: reservedBytes, available: availableBytes },
    slices: { count: slices, storedBytes, imageBytes, savingRatio: storedBytes === 0 ? null : imageBytes / storedBytes },
    images: { available, deleted, other },
    uploads: { active: uploadsActive() },
  }
}
