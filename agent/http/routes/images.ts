// Routes that list, show, change, delete and restore images, and manage their bindings and grants.

import { z } from 'zod'
import { imageCursorSchema, imageFilterSchema, imagePatchSchema, imageSchema, nameSchema } from '../../../protocol/image.ts'
import type { Image, ImageFilter, ImagePatch } from '../../../protocol/image.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import type { Page, PageQuery } from '../../../protocol/page.ts'
import { answerPage } from '../page-answer.ts'
import { reachableImages } from '../reachable-images.ts'
import type { MountFault } from '../reachable-images.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** The parts of the catalogue that these routes use. `actor` is shown in events. */
export interface ImagesDeps {
  readonly images: {
    list(filter: ImageFilter, page: PageQuery): Page<Image>
    need(idOrName: string): Image
    show(idOrName: string): Promise<Image>
    patch(id: string, patch: ImagePatch, actor: string): Promise<Image>
    bind(id: string, instance: string, actor: string): Promise<Image>
    unbind(id: string, instance: string, actor: string): Promise<Image>
    grant(id: string, subject: string, actor: string): Promise<Image>
    revoke(id: string, subject: string, actor: string): Promise<Image>
    delete(id: string, actor: string, options: { readonly permanent: boolean }): Promise<Image | undefined>
    restore(id: string, actor: string): Promise<Image>
  }
  readonly mountFault: MountFault
}

const idSchema = z.object({ id: z.string().min(1).max(255) })
const bindingSchema = idSchema.extend({ instance: nameSchema })
const grantSchema = idSchema.extend({ subject: nameSchema.regex(/^(?:user|group):./, 'must be user:NAME or group:NAME') })
const listSchema = pageQuerySchema.extend({ ...imageFilterSchema.shape, cursor: imageCursorSchema.optional() })
const deleteSchema = z.object({ permanent: z.enum(['true', 'false']).default('false') })
const shown = { 200: { description: 'The image', schema: imageSchema } }

/** Returns the routes below /v1/images, except for content and manifest. `{id}` may be a name that only one image has. */
export function imageRoutes({ images, mountFault }: ImagesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/images',
      access: 'viewer',
      summary: 'Lists images, newest first; with status=deleted, lists the recycle bin',
      query: listSchema,
      answers: { 200: { description: 'A page of images', schema: pageSchema(imageSchema) } },
      async run({ query: { limit, cursor, ...filter } }) {
        const reachable = await reachableImages(images, mountFault)
        return answerPage((count) => reachable.list(filter, { limit: count, cursor }), limit)
      },
    }),
    route({
      method: 'GET',
      path: '/v1/images/:id',
      access: 'viewer',
      summary: 'Shows an image',
      problems: ['conflict'],
      params: idSchema,
      answers: shown,
      run: async ({ params }) => Response.json(await (await reachableImages(images, mountFault)).show(params.id)),
    }),
    route({
      method: 'PATCH',
      path: '/v1/images/:id',
      access: 'operator',
      summary: 'Changes the description of an image; its bytes never change',
      problems: ['conflict', 'wrong-status', 'limit-reached', 'virtual-disk'],
      params: idSchema,
      body: imagePatchSchema,
      answers: shown,
      run: async ({ params, body, actor }) => Response.json(await images.patch(images.need(params.id).id, body, actor.name)),
    }),
    route({
      method: 'DELETE',
      path: '/v1/images/:id',
      access: 'operator',
      summary: 'Moves an image to the recycle bin, or deletes it for good if the store or `permanent` says so',
      problems: ['conflict', 'wrong-status', 'image-bound', 'image-protected'],
      params: idSchema,
      query: deleteSchema,
      answers: { 200: { description: 'The image in the recycle bin', schema: imageSchema }, 204: { description: 'The image was deleted for good' } },
      async run({ params, query, actor }) {
        const image = await images.delete(images.need(params.id).id, actor.name, { permanent: query.permanent === 'true' })
        return image ? Response.json(image) : new Response(null, { status: 204 })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/images/:id/restore',
      access: 'operator',
      summary: 'Restores an image from the recycle bin',
      problems: ['conflict', 'wrong-status', 'store-disabled', 'limit-reached'],
      params: idSchema,
      answers: shown,
      run: async ({ params, actor }) => Response.json(await images.restore(images.need(params.id).id, actor.name)),
    }),
    ...memberRoutes(images),
  ]
}

function memberRoutes(images: ImagesDeps['images']): Route[] {
  const binding = {
    path: '/v1/images/:id/bindings/:instance',
    access: 'operator',
    params: bindingSchema,
    answers: shown,
    problems: ['conflict', 'wrong-status'],
  } as const
  const grant = {
    path: '/v1/images/:id/grants/:subject',
    access: 'operator',
    params: grantSchema,
    answers: shown,
    problems: ['conflict', 'wrong-status'],
  } as const
  return [
    route({
      ...binding,
      method: 'PUT',
      summary: 'Binds the image to an instance, which prevents its deletion',
      run: async ({ params, actor }) => Response.json(await images.bind(images.need(params.id).id, params.instance, actor.name)),
    }),
    route({
      ...binding,
      method: 'DELETE',
      summary: 'Removes the binding of the image to an instance; a virtual disk is deleted with its last binding',
      run: async ({ params, actor }) => Response.json(await images.unbind(images.need(params.id).id, params.instance, actor.name)),
    }),
    route({
      ...grant,
      method: 'PUT',
      summary: 'Grants the image to a user or group',
      run: async ({ params, actor }) => Response.json(await images.grant(images.need(params.id).id, params.subject, actor.name)),
    }),
    route({
      ...grant,
      method: 'DELETE',
      summary: 'Revokes the grant of the image to a user or group',
      run: async ({ params, actor }) => Response.json(await images.revoke(images.need(params.id).id, params.subject, actor.name)),
    }),
  ]
}
