// The route that counts what deleting several images together would free. That is more than the sum of their unique sizes, since slices that only
// these images share are freed too.

import { uniqueSizeQuerySchema, uniqueSizeSchema } from '../../../protocol/images/image.ts'
import { audienceOf } from '../../access/readable.ts'
import type { Audience } from '../../contract/images.ts'
import { visibleImage } from '../visible/visible-image.ts'
import type { NamedImages } from '../visible/visible-image.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

export interface UniqueSizeDeps {
  readonly images: NamedImages & {
    /** Returns the stored bytes of slices that only these images use; null in a store too large to count. */
    uniqueSize(ids: readonly string[], audience?: Audience): Promise<number | null>
  }
}

/** Returns the route POST /v1/unique-size. */
export function uniqueSizeRoutes({ images }: UniqueSizeDeps): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/unique-size',
      problems: ['not-found', 'conflict'],
      access: 'viewer',
      summary: 'Counts the stored bytes that deleting all of these images would free',
      body: uniqueSizeQuerySchema,
      answers: { 200: { description: 'The bytes; null in a store too large to count', schema: uniqueSizeSchema } },
      async run({ body, actor }) {
        const ids = body.images.map((idOrName) => visibleImage(images, idOrName, actor, 'read').id)
        return Response.json({ uniqueSize: await images.uniqueSize(ids, audienceOf(actor)) })
      },
    }),
  ]
}
