// Images: list, show, change, delete, restore, and who uses them.

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

/** What these routes need of the catalogue. `actor` is shown in events. */
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

/** Routes below /v1/images without the bytes. `{id}` may be a name that only one image has. */
export function imageRoutes({ images, mountFault }: ImagesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/images',
      access: 'viewer',
      summary: 'Lists images, newest first; the recycle bin with status=deleted',
      query: listSchema,
      answers: { 200: { description: 'One page of images', schema: pageSchema(imageSchema) } },
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
      summary: 'Changes what is said of an image; its bytes never change',
      problems: ['conflict', 'wrong-status', 'limit-reached'],
      params: idSchema,
      body: imagePatchSchema,
      answers: shown,
      run: async ({ params, body, actor }) => Response.json(await images.patch(images.need(params.id).id, body, actor.name)),
    }),
    route({
      method: 'DELETE',
      path: '/v1/images/:id',
      access: 'operator',
      summary: 'Deletes an image: into the recycle bin, or at once where the store or `permanent` says so',
      problems: ['conflict', 'wrong-status', 'image-bound', 'image-protected'],
      params: idSchema,
      query: deleteSchema,
      answers: { 200: { description: 'The image in the recycle bin', schema: imageSchema }, 204: { description: 'The image is gone' } },
      async run({ params, query, actor }) {
        const image = await images.delete(images.need(params.id).id, actor.name, { permanent: query.permanent === 'true' })
        return image ? Response.json(image) : new Response(null, { status: 204 })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/images/:id/restore',
      access: 'operator',
      summary: 'Takes an image out of the recycle bin',
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
      summary: 'Notes that an instance uses the image, which keeps it from being deleted',
      run: async ({ params, actor }) => Response.json(await images.bind(images.need(params.id).id, params.instance, actor.name)),
    }),
    route({
      ...binding,
      method: 'DELETE',
      summary: 'Notes that an instance no longer uses the image',
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
      summary: 'Takes the image from a user or group',
      run: async ({ params, actor }) => Response.json(await images.revoke(images.need(params.id).id, params.subject, actor.name)),
    }),
  ]
}
