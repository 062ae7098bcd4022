// Routes of media groups.

import { z } from 'zod'
import { mediaGroupPatchSchema, mediaGroupSchema, newMediaGroupSchema } from '../../../protocol/images/media-group.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { audienceOf } from '../../access/readable.ts'
import type { MediaGroups } from '../../images/media-groups.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

const paramsSchema = z.object({ name: z.string().min(1).max(255) })

/** Returns the routes below /v1/media-groups. */
export function mediaGroupRoutes({ groups }: { readonly groups: Pick<MediaGroups, 'list' | 'create' | 'patch' | 'delete'> }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/media-groups',
      access: 'viewer',
      summary: 'Lists media groups by name: visible ones, and those of images that the caller may see',
      description: 'An image names its media group. A group that only images name is visible; it gets settings when it is created or changed.',
      query: pageQuerySchema,
      answers: { 200: { description: 'A page of media groups', schema: pageSchema(mediaGroupSchema) } },
      run: async ({ query, actor }) => Response.json(await groups.list(query, audienceOf(actor))),
    }),
    route({
      method: 'POST',
      path: '/v1/media-groups',
      access: 'operator',
      summary: 'Creates a media group',
      problems: ['conflict', 'limit-reached'],
      body: newMediaGroupSchema,
      answers: { 201: { description: 'The media group', schema: mediaGroupSchema } },
      run: async ({ body, actor }) => Response.json(await groups.create(body, actor.name), { status: 201 }),
    }),
    route({
      method: 'PATCH',
      path: '/v1/media-groups/:name',
      access: 'operator',
      summary: 'Renames, describes, hides or shows a media group',
      description:
        'Images of a hidden group that have no grants are visible only to their owners, operators and administrators. The change applies to every image of the group before it is answered.',
      problems: ['conflict', 'limit-reached'],
      params: paramsSchema,
      body: mediaGroupPatchSchema,
      answers: { 200: { description: 'The media group', schema: mediaGroupSchema } },
      run: async ({ params, body, actor }) => Response.json(await groups.patch(params.name, body, actor.name)),
    }),
    route({
      method: 'DELETE',
      path: '/v1/media-groups/:name',
      access: 'operator',
      summary: 'Deletes a media group without images',
      problems: ['conflict'],
      params: paramsSchema,
      answers: { 204: { description: 'The media group was deleted' } },
      async run({ params, actor }) {
        await groups.delete(params.name, actor.name)
        return new Response(null, { status: 204 })
      },
    }),
  ]
}
