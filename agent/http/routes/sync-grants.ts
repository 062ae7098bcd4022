// The route with which another store gets the right to copy images of this one: a token that reads these images and nothing else.

import { createdSyncGrantSchema, newSyncGrantSchema } from '../../../protocol/sync/sync-grant.ts'
import type { CreatedSyncGrant } from '../../../protocol/sync/sync-grant.ts'
import { imageRights } from '../../access/image-rights.ts'
import { isVisible } from '../../access/readable.ts'
import type { SyncGrantOrder } from '../../access/sync-grants.ts'
import type { Actor } from '../../contract/access.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'
import { visibleImage } from '../visible/visible-image.ts'
import type { ImageAccess, NamedImages } from '../visible/visible-image.ts'

/** Who may let another store copy an image. */
const SHARE: ImageAccess = { role: 'operator', right: 'manage' }

/** Returns whether an image exists and may be shared by the actor. */
function isShareable(images: NamedImages, id: string, actor: Actor): boolean {
  return images.named(id).some((image) => isVisible(image, actor) && imageRights(image, actor).has('manage'))
}

export interface SyncGrantRoutesDeps {
  readonly images: NamedImages
  readonly grants: { create(order: SyncGrantOrder, actor: Actor): Promise<CreatedSyncGrant> }
}

/** Returns the route POST /v1/sync/grants. */
export function syncGrantRoutes({ images, grants }: SyncGrantRoutesDeps): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/sync/grants',
      access: SHARE,
      summary: 'Creates a grant for another store to copy images of this one; only this answer shows its token',
      description:
        'The token reads the identity of the store, and metadata, manifests and slices of these images. It is listed and deleted like other tokens, and ends with the token that created it.',
      problems: ['not-found', 'conflict', 'limit-reached'],
      body: newSyncGrantSchema,
      answers: { 201: { description: 'The token of the grant', schema: createdSyncGrantSchema } },
      async run({ body, actor }) {
        const ids = body.images.map((id) => visibleImage(images, id, actor, SHARE).id)
        return Response.json(await grants.create({ ...body, images: ids, isShareable: (id) => isShareable(images, id, actor) }, actor), { status: 201 })
      },
    }),
  ]
}
