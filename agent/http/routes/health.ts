// The route of health: every client sees the state, clients with a token also see the checks.

import { healthSchema } from '../../../protocol/health.ts'
import type { Health } from '../../../protocol/health.ts'
import type { Actor } from '../../contract/access.ts'
import type { HealthBoard } from '../../contract/health.ts'
import { seenImages } from '../visible/image-mentions.ts'
import type { FindImage } from '../visible/image-mentions.ts'
import { ANONYMOUS } from '../middleware/authenticate.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

export interface HealthRoutesDeps {
  readonly health: Pick<HealthBoard, 'current'>
  readonly findImage: FindImage
}

/** Returns the route of /v1/health. */
export function healthRoutes({ health, findImage }: HealthRoutesDeps): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/health',
      access: 'public',
      summary: 'Shows the state of the store; with a token, also every check',
      answers: {
        200: { description: 'The store is running, possibly degraded', schema: healthSchema },
        503: { description: 'The store cannot do its work; the body has the same schema', schema: healthSchema },
      },
      async run({ actor }) {
        const shown = await shownHealth({ health, findImage }, actor)
        return Response.json(shown, { status: shown.state === 'error' ? 503 : 200 })
      },
    }),
  ]
}

/** Returns the health as this caller may see it. */
export async function shownHealth({ health, findImage }: HealthRoutesDeps, actor: Actor): Promise<Health> {
  const found = await health.current()
  if (actor === ANONYMOUS) return { ...found, checks: [] }
  const { redact } = seenImages(findImage, actor)
  return {
    ...found,
    checks: found.checks.map((check) => ({ ...check, measured: redact(check.measured), impact: redact(check.impact), action: redact(check.action) })),
  }
}
