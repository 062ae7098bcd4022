// The route of the evidence of a store.

import { EVIDENCE_MEDIA_TYPE } from '../../../protocol/evidence.ts'
import type { Evidence } from '../../contract/evidence.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** Returns the route of /v1/evidence. Operators see every image, task and event in other ways too; the archive adds the log and the configuration. */
export function evidenceRoutes({ evidence }: { readonly evidence: Evidence }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/evidence',
      access: 'operator',
      // The event of the store says who has the log and the configuration now.
      namesAsker: true,
      summary: 'Returns one archive with log, events, checks, metrics, tasks, configuration without secrets and versions',
      description: 'One archive is made at a time.',
      answers: { 200: { description: 'A tar archive compressed with gzip', mediaType: EVIDENCE_MEDIA_TYPE } },
      problems: ['limit-reached'],
      async run({ actor }) {
        const { name, bytes } = await evidence.collect(actor.name)
        return new Response(bytes, {
          headers: { 'Content-Type': EVIDENCE_MEDIA_TYPE, 'Content-Disposition': `attachment; filename="${name}"`, 'Cache-Control': 'no-store' },
        })
      },
    }),
  ]
}
