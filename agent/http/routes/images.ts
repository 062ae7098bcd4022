// Routes that list, show, change, delete and restore images, and manage their bindings and grants.

import { z } from 'zod'
import { grantOrderSchema } from '../../../protocol/images/grant.ts'
import type { Grant } from '../../../protocol/images/grant.ts'
import { imagePatchSchema, imageSchema, nameSchema } from '../../../protocol/images/image.ts'
import type { Image, ImagePatch } from '../../../protocol/images/image.ts'
import { imageFilterSchema, imagePageQuerySchema } from '../../../protocol/images/image-list.ts'
import type { ImageFilter, ImagePageQuery } from '../../../protocol/images/image-list.ts'
import { pageSchema } from '../../../protocol/page.ts'
import type { Page } from '../../../protocol/page.ts'
import { audienceOf } from '../../access/readable.ts'
import type { Actor } from '../../contract/access.ts'
import type { Audience } from '../../contract/images.ts'
import type { PullThrough } from '../../contract/origins.ts'
import { answerPage } from '../page-answer.ts'
import { reachableImages } from '../visible/reachable-images.ts'
import type { MountFault } from '../visible/reachable-images.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { imageOfOrigin, imageWithDigest } from '../content/read-image.ts'
import type { ReadableImages } from '../content/read-image.ts'
import { visibleImage } from '../visible/visible-image.ts'
import type { ImageAccess } from '../visible/visible-image.ts'

/** The parts of the catalogue that these routes use. `actor` is shown in events. */
export interface ImagesDeps {
  readonly images: ReadableImages & {
    list(filter: ImageFilter, page: ImagePageQuery, audience?: Audience): Page<Image>
    show(idOrName: string, audience?: Audience): Promise<Image>
    patch(id: string, patch: ImagePatch, actor: string): Promise<Image>
    bind(id: string, instance: string, actor: string): Promise<Image>
    unbind(id: string, instance: string, actor: string): Promise<Image>
    grant(id: string, grant: Grant, actor: string): Promise<Image>
    revoke(id: string, subject: string, actor: string): Promise<Image>
    delete(id: string, actor: string, options: { readonly permanent: boolean }): Promise<Image | undefined>
    restore(id: string, actor: string): Promise<Image>
  }
  readonly mountFault: MountFault
  /** Images of origins; undefined without origins. */
  readonly through?: PullThrough | undefined
  /** Cancels the upload of an image that is still uploaded. Returns false if there is none. Throws ProblemError `forbidden`. */
  readonly cancelUpload: (imageId: string, actor: Actor) => Promise<boolean>
}

const idSchema = z.object({ id: z.string().min(1).max(255) })
const bindingSchema = idSchema.extend({ instance: nameSchema })
const grantSchema = idSchema.extend({ subject: nameSchema.regex(/^(?:user|group):./, 'must be user:NAME or group:NAME') })
const listSchema = imagePageQuerySchema.extend(imageFilterSchema.shape)
const deleteSchema = z.object({ permanent: z.enum(['true', 'false']).default('false') })
/** What changes of an image and its bindings need. */
const EDIT: ImageAccess = { role: 'operator', right: 'manage' }
const BIND: ImageAccess = { role: 'operator', right: 'use' }
const shown = { 200: { description: 'The image', schema: imageSchema } }

/** Returns the routes below /v1/images, except for content and manifest. `{id}` may be a name that only one image has. */
export function imageRoutes({ images, mountFault, through, cancelUpload }: ImagesDeps): Route[] {
  const editable = (idOrName: string, actor: Actor): string => visibleImage(images, idOrName, actor, EDIT).id
  return [
    route({
      method: 'GET',
      path: '/v1/images',
      access: 'viewer',
      summary: 'Lists images, newest first; with status=deleted, lists the recycle bin',
      description:
        'An image must pass all filters. Images that are still uploaded are listed with status uploading or pending. Sorts by the member that `sort` names, descending with `-` before it.',
      query: listSchema,
      answers: { 200: { description: 'A page of images', schema: pageSchema(imageSchema) } },
      async run({ query: { limit, cursor, sort, ...filter }, actor }) {
        const reachable = await reachableImages(images, mountFault)
        return answerPage((count) => reachable.list(filter, { limit: count, cursor, sort }, audienceOf(actor)), limit)
      },
    }),
    route({
      method: 'GET',
      path: '/v1/images/:id',
      access: 'viewer',
      granted: true,
      summary: 'Shows an image',
      problems: ['conflict', 'origin-unreachable', 'limit-reached'],
      params: idSchema,
      answers: shown,
      description: 'An image that only an origin has is shown as the origin describes it; nothing is copied. `id` may be a digest of its file or manifest.',
      async run({ params, actor, request }) {
        const here = imageWithDigest({ images, idOrDigest: params.id, actor })
        const there = here ? undefined : await imageOfOrigin({ images, through, request, idOrDigest: params.id, actor })
        if (there && images.named(there.id).length === 0) return Response.json(there)
        const { id } = here ?? visibleImage(images, params.id, actor, 'read')
        return Response.json(await (await reachableImages(images, mountFault)).show(id, audienceOf(actor)))
      },
    }),
    route({
      method: 'PATCH',
      path: '/v1/images/:id',
      access: EDIT,
      summary: 'Changes the description of an image; its bytes never change',
      problems: ['conflict', 'wrong-status', 'limit-reached', 'virtual-disk', 'format-mismatch'],
      params: idSchema,
      body: imagePatchSchema,
      answers: shown,
      run: async ({ params, body, actor }) => Response.json(await images.patch(editable(params.id, actor), body, actor.name)),
    }),
    route({
      method: 'DELETE',
      path: '/v1/images/:id',
      // Uploaders may cancel their own uploads; everything else needs EDIT.
      access: { ...EDIT, role: 'uploader' },
      summary: 'Moves an image to the recycle bin, or deletes it for good if the store or `permanent` says so',
      description: 'The upload of an image that is still uploaded is cancelled instead: by the token that uploads it, or by an administrator.',
      problems: ['conflict', 'wrong-status', 'image-bound', 'image-protected', 'upload-locked'],
      params: idSchema,
      query: deleteSchema,
      answers: { 200: { description: 'The image in the recycle bin', schema: imageSchema }, 204: { description: 'The image was deleted for good' } },
      async run({ params, query, actor }) {
        const seen = visibleImage(images, params.id, actor, 'read')
        if (isArriving(seen) && (await cancelUpload(seen.id, actor))) return new Response(null, { status: 204 })
        const image = await images.delete(editable(seen.id, actor), actor.name, { permanent: query.permanent === 'true' })
        return image ? Response.json(image) : new Response(null, { status: 204 })
      },
    }),
    route({
      method: 'POST',
      path: '/v1/images/:id/restore',
      access: EDIT,
      summary: 'Restores an image from the recycle bin',
      problems: ['conflict', 'wrong-status', 'store-disabled', 'limit-reached'],
      params: idSchema,
      answers: shown,
      run: async ({ params, actor }) => Response.json(await images.restore(editable(params.id, actor), actor.name)),
    }),
    ...memberRoutes(images),
  ]
}

/** Whether the bytes of an image are still uploaded. */
function isArriving({ status }: Image): boolean {
  return status === 'uploading' || status === 'pending'
}

function memberRoutes(images: ImagesDeps['images']): Route[] {
  const bindable = (idOrName: string, actor: Actor): string => visibleImage(images, idOrName, actor, BIND).id
  const editable = (idOrName: string, actor: Actor): string => visibleImage(images, idOrName, actor, EDIT).id
  const binding = {
    path: '/v1/images/:id/bindings/:instance',
    access: BIND,
    params: bindingSchema,
    answers: shown,
    problems: ['conflict', 'wrong-status'],
  } as const
  const grant = {
    path: '/v1/images/:id/grants/:subject',
    access: EDIT,
    params: grantSchema,
    answers: shown,
    problems: ['conflict', 'wrong-status'],
  } as const
  return [
    route({
      ...binding,
      method: 'PUT',
      summary: 'Binds the image to an instance, which prevents its deletion',
      run: async ({ params, actor }) => Response.json(await images.bind(bindable(params.id, actor), params.instance, actor.name)),
    }),
    route({
      ...binding,
      method: 'DELETE',
      summary: 'Removes the binding of the image to an instance; a virtual disk is deleted with its last binding',
      run: async ({ params, actor }) => {
        const image = visibleImage(images, params.id, actor, BIND)
        // The last binding of a virtual disk takes the disk with it.
        const { id } = image.kind === 'virtualDisk' ? visibleImage(images, image.id, actor, EDIT) : image
        return Response.json(await images.unbind(id, params.instance, actor.name))
      },
    }),
    route({
      ...grant,
      method: 'PUT',
      summary:
        'Sets the rights of a user or group on the image; with grants, the image is visible only to its owner, those named, operators and administrators',
      body: grantOrderSchema,
      run: async ({ params, body, actor }) =>
        Response.json(await images.grant(editable(params.id, actor), { subject: params.subject, rights: body.set }, actor.name)),
    }),
    route({
      ...grant,
      method: 'DELETE',
      summary: 'Revokes the grant of the image to a user or group',
      run: async ({ params, actor }) => Response.json(await images.revoke(editable(params.id, actor), params.subject, actor.name)),
    }),
  ]
}
