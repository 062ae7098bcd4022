// The route of the catalogue of operating systems.

import { operatingSystemSchema, OPERATING_SYSTEMS } from '../../../protocol/images/operating-systems.ts'
import { pageQuerySchema, pageSchema } from '../../../protocol/page.ts'
import { answerPage } from '../page-answer.ts'
import { pageOf } from '../paging.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

const SORTED = OPERATING_SYSTEMS.toSorted((a, b) => (a.id < b.id ? -1 : 1))

/** Returns the route below /v1/operating-systems. */
export function operatingSystemRoutes(): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/operating-systems',
      access: 'viewer',
      summary: 'Lists the catalogue of operating systems with the least resources that each needs',
      query: pageQuerySchema,
      answers: { 200: { description: 'A page of operating systems', schema: pageSchema(operatingSystemSchema) } },
      run: ({ query: { limit, cursor } }) => answerPage((count) => pageOf(SORTED, ({ id }) => id, { limit: count, cursor }), limit),
    }),
  ]
}
