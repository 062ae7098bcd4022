// What deleting several images together would free. The sum of their own unique sizes is not the answer: slices that only
// these images share are freed with the last of them.

import { uniqueSizeQuerySchema, uniqueSizeSchema } from '../../../protocol/image.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

export interface UniqueSizeDeps {
  /** Stored bytes that only these images hold; null where counting is not affordable. Throws ProblemError `not-found` and `conflict`. */
  readonly uniqueSize: (idsOrNames: readonly string[]) => Promise<number | null>
}

export function uniqueSizeRoutes({ uniqueSize }: UniqueSizeDeps): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/unique-size',
      problems: ['not-found', 'conflict'],
      access: 'viewer',
      summary: 'Counts the stored bytes that only these images hold: what deleting all of them would free',
      body: uniqueSizeQuerySchema,
      answers: { 200: { description: 'The bytes; null in a store too large to count', schema: uniqueSizeSchema } },
      run: async ({ body }) => Response.json({ uniqueSize: await uniqueSize(body.images) }),
    }),
  ]
}
