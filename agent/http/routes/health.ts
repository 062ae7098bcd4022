// Health: the state for everybody, the checks for callers with a token.

import { healthSchema } from '../../../protocol/health.ts'
import type { HealthBoard } from '../../contract/health.ts'
import { ANONYMOUS } from '../middleware/authenticate.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** The route of /v1/health. */
export function healthRoutes({ health }: { readonly health: Pick<HealthBoard, 'current'> }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/health',
      access: 'public',
      summary: 'State of the store; with a token also every check',
      answers: {
        200: { description: 'It runs, perhaps degraded', schema: healthSchema },
        503: { description: 'It cannot do its work; the body is the same', schema: healthSchema },
      },
      async run({ actor }) {
        const found = await health.current()
        const shown = actor === ANONYMOUS ? { ...found, checks: [] } : found
        return Response.json(shown, { status: found.state === 'error' ? 503 : 200 })
      },
    }),
  ]
}
