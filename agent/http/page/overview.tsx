// The first page: health of the store, and the newest of what happens in it. It is shown as far as it can be read: on a bad day, some of it cannot.

/** @jsxImportSource hono/jsx */

import { eventSchema } from '../../../protocol/event.ts'
import { healthSchema } from '../../../protocol/health.ts'
import { pageSchema } from '../../../protocol/page.ts'
import { storeSchema } from '../../../protocol/store.ts'
import { taskSchema } from '../../../protocol/task.ts'
import { uploadSchema } from '../../../protocol/upload.ts'
import type { Html } from '../../../protocol/views/html/html.ts'
import { ViewSection } from '../../../protocol/views/html/view.tsx'
import { makeView } from '../../../protocol/views/view.ts'
import type { View } from '../../../protocol/views/view.ts'
import { problemOf } from '../../contract/failures.ts'
import { relativeHref } from './addresses.ts'
import { excerptWindow, htmlOptions, listWindow } from './html-options.ts'
import type { OwnRoutes, Reader } from './own-routes.ts'
import { eventsView, healthView, tasksView, uploadsView } from './views.ts'

/** Rows of each list on the first page. */
const EXCERPT_ROWS = 10

/** Reads what the first page shows, and shows it. `order` has the fields of the address that sort the checks. */
export async function overview(own: OwnRoutes, reader: Reader, order: Readonly<Record<string, string | undefined>>, nowMs: number): Promise<Html> {
  const query = { limit: String(EXCERPT_ROWS) }
  const health = await own.read(reader, healthSchema, '/v1/health')
  const store = await own.read(reader, storeSchema, '/v1/store').catch((error: unknown) => {
    reader.log.warn('the page cannot describe the store', { error })
    return undefined
  })
  const uploads = await part('Uploads', nowMs, async () =>
    uploadsView((await own.read(reader, pageSchema(uploadSchema), '/v1/uploads', { query })).items, nowMs),
  )
  const tasks = await part('Tasks', nowMs, async () =>
    tasksView((await own.read(reader, pageSchema(taskSchema), '/v1/tasks', { query })).items, store?.name ?? '', nowMs),
  )
  const events = await part('Events', nowMs, async () => eventsView((await own.read(reader, pageSchema(eventSchema), '/v1/events', { query })).items, nowMs))
  const checks = healthView(health, store)
  return (
    <>
      <ViewSection
        view={checks}
        options={htmlOptions({ path: '/', nowMs, level: 1, window: () => ({ ...listWindow(checks, '/', order), find: undefined }) })}
      />
      <p>
        <a href={relativeHref('/', '/')}>Load again</a>
      </p>
      <Excerpt view={uploads} nowMs={nowMs} path="/page/uploads" />
      <Excerpt view={tasks} nowMs={nowMs} path="/page/tasks" />
      <Excerpt view={events} nowMs={nowMs} path="/page/events" />
    </>
  )
}

function Excerpt({ view, nowMs, path }: { readonly view: View; readonly nowMs: number; readonly path: string }): Html {
  const window = () => excerptWindow(view, relativeHref('/', path))
  return <ViewSection view={view} options={htmlOptions({ path: '/', nowMs, level: 2, window })} />
}

/** Returns the View of a part, or one that says why it cannot be shown. */
async function part(title: string, nowMs: number, make: () => Promise<View>): Promise<View> {
  try {
    return await make()
  } catch (error) {
    const { detail, action } = problemOf(error).problem
    return makeView({ outcome: 'failed', tone: 'bad', title, text: `${detail} ${action}`, asOfMs: nowMs, json: null })
  }
}
