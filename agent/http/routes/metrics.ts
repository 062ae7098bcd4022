// The route of metrics for Prometheus.

import { audienceOf } from '../../access/readable.ts'
import type { Audience } from '../../contract/images.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** Returns the route of /metrics. */
export function metricsRoutes({ metrics }: { readonly metrics: { render(audience?: Audience): Promise<string> } }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/metrics',
      access: 'viewer',
      summary: 'Returns metrics in the text format of Prometheus; images are counted if the caller may see them',
      answers: { 200: { description: 'The metrics', mediaType: 'text/plain' } },
      run: async ({ actor }) =>
        new Response(await metrics.render(audienceOf(actor)), {
          headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8', 'Cache-Control': 'no-store' },
        }),
    }),
  ]
}
