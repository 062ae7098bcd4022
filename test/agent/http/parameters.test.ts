// How long and how large the members of paths and queries may be, for every route. Written down here, because a bound that moves by one, or is gone,
// changes nothing else. The routes are only looked at, so that they need nothing that they would use.

import { expect, test } from 'bun:test'
import { z } from 'zod'
import type { Route } from '../../../agent/http/route.ts'
import { accessRoutes } from '../../../agent/http/routes/access.ts'
import { contentRoutes } from '../../../agent/http/routes/content.ts'
import { eventRoutes } from '../../../agent/http/routes/events.ts'
import { exportRoutes } from '../../../agent/http/routes/exports.ts'
import { fileRoutes } from '../../../agent/http/routes/files.ts'
import { hostKeyRoutes } from '../../../agent/http/routes/host-keys.ts'
import { imageRoutes } from '../../../agent/http/routes/images.ts'
import { mediaGroupRoutes } from '../../../agent/http/routes/media-groups.ts'
import { scheduleRoutes } from '../../../agent/http/routes/schedules.ts'
import { taskRoutes } from '../../../agent/http/routes/tasks.ts'
import { uploadRoutes } from '../../../agent/http/routes/uploads/uploads.ts'
import { usageRoutes } from '../../../agent/http/routes/usage.ts'

/** Stands for whatever a route is made with. */
const NOTHING = {} as never
const ROUTES: readonly Route[] = [
  accessRoutes,
  contentRoutes,
  eventRoutes,
  exportRoutes,
  fileRoutes,
  hostKeyRoutes,
  imageRoutes,
  mediaGroupRoutes,
  scheduleRoutes,
  taskRoutes,
  uploadRoutes,
  usageRoutes,
].flatMap((make) => make(NOTHING))

/** The bounds of each member: `1-255` are lengths in characters, `1..1000` are numbers. Members without bounds are choices of few words. */
const BOUNDS: Readonly<Record<string, string>> = {
  'GET /v1/events': 'limit 1..1000, type 0-100',
  'GET /v1/exports': 'limit 1..1000, cursor 0-512, image 1-255',
  'DELETE /v1/exports/:id': 'id 1-255',
  'GET /v1/exports/:id': 'id 1-255',
  'GET /v1/exports/:id/content': 'id 1-255',
  'HEAD /v1/exports/:id/content': 'id 1-255',
  'GET /v1/files': 'limit 1..1000, cursor 0-512',
  'GET /v1/host-keys': 'limit 1..1000, cursor 0-512',
  'DELETE /v1/host-keys/:host': 'host 1-300',
  'GET /v1/images':
    'limit 1..1000, cursor 0-4096, owner 0-255, name 0-255, search 1-255, os 0-255, mediaGroup 0-255, label 1-20480, sourceInstance 0-255, instance 0-255, cpus 1..9007199254740991, memory 0..9007199254740991, disk 0..9007199254740991',
  'DELETE /v1/images/:id': 'id 1-255',
  'GET /v1/images/:id': 'id 1-255',
  'PATCH /v1/images/:id': 'id 1-255',
  'DELETE /v1/images/:id/bindings/:instance': 'id 1-255, instance 1-255',
  'PUT /v1/images/:id/bindings/:instance': 'id 1-255, instance 1-255',
  'GET /v1/images/:id/content': 'id 1-255',
  'HEAD /v1/images/:id/content': 'id 1-255',
  'POST /v1/images/:id/exports': 'id 1-255',
  'DELETE /v1/images/:id/grants/:subject': 'id 1-255, subject 1-255',
  'PUT /v1/images/:id/grants/:subject': 'id 1-255, subject 1-255',
  'GET /v1/images/:id/manifest': 'id 1-255',
  'POST /v1/images/:id/restore': 'id 1-255',
  'GET /v1/links': 'limit 1..1000, cursor 0-512',
  'DELETE /v1/links/:id': 'id 0-64',
  'GET /v1/links/:id': 'id 0-64',
  'GET /v1/media-groups': 'limit 1..1000, cursor 0-512',
  'DELETE /v1/media-groups/:name': 'name 1-255',
  'PATCH /v1/media-groups/:name': 'name 1-255',
  'GET /v1/schedules': 'limit 1..1000, cursor 0-512',
  'PATCH /v1/schedules/:name': 'name 0-64',
  'POST /v1/schedules/:name/run': 'name 0-64',
  'GET /v1/tasks': 'limit 1..1000',
  'GET /v1/tasks/:id': 'id 0-64',
  'POST /v1/tasks/:id/cancel': 'id 0-64',
  'POST /v1/tasks/:id/pause': 'id 0-64',
  'POST /v1/tasks/:id/resume': 'id 0-64',
  'POST /v1/tasks/:id/retry': 'id 0-64',
  'GET /v1/tokens': 'limit 1..1000, cursor 0-512',
  'DELETE /v1/tokens/:id': 'id 0-64',
  'POST /v1/tokens/:id/rotate': 'id 0-64',
  'GET /v1/uploads': 'limit 1..1000',
  'DELETE /v1/uploads/:id': 'id 0-64',
  'GET /v1/uploads/:id': 'id 0-64',
  'HEAD /v1/uploads/:id': 'id 0-64',
  'OPTIONS /v1/uploads/:id': 'id 0-64',
  'PATCH /v1/uploads/:id': 'id 0-64',
  'GET /v1/usage': 'owner 0-255, limit 1..1000, cursor 0-512',
}

interface Bounds {
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
}

/** Returns the bounds of the members of a schema as text: `id 1-255`. */
function boundsOf(schema: z.ZodType | undefined): string[] {
  if (schema === undefined) return []
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as { properties?: Record<string, Bounds> }
  return Object.entries(properties).flatMap(([name, { minLength, maxLength, minimum, maximum }]) => {
    if (maxLength !== undefined) return [`${name} ${minLength ?? 0}-${maxLength}`]
    return maximum === undefined ? [] : [`${name} ${minimum ?? ''}..${maximum}`]
  })
}

test('the members of paths and queries have the bounds that are written down here', () => {
  const found = ROUTES.map(({ method, path, params, query }) => [`${method} ${path}`, [...boundsOf(params), ...boundsOf(query)].join(', ')] as const)
  expect(Object.fromEntries(found.filter(([, bounds]) => bounds !== ''))).toEqual(BOUNDS)
})
