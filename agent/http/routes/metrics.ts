// The route of metrics for Prometheus.

import { route } from '../route.ts'
import type { Route } from '../route.ts'

/** Returns the route of /metrics. */
export function metricsRoutes({ metrics }: { readonly metrics: { render(): Promise<string> } }): Route[] {
  return [
    route({
      method: 'GET',
      path: '/metrics',
      access: 'viewer',
      summary: 'Returns metrics in the text format of Prometheus',
      answers: { 200: { description: 'The metrics', mediaType: 'text/plain' } },
      run: async () =>
        new Response(await metrics.render(), { headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8', 'Cache-Control': 'no-store' } }),
    }),
  ]
}
