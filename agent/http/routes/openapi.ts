// The route of the OpenAPI document.

import { describeRoutes } from '../openapi/document.ts'
import { route } from '../route.ts'
import type { Route } from '../route.ts'

export interface OpenApiRoutesDeps {
  readonly version: string
  /** Returns all routes, including this one. Called at the first request. */
  readonly routes: () => readonly Route[]
}

/** Returns the route of /v1/openapi.json. */
export function openApiRoutes({ version, routes }: OpenApiRoutesDeps): Route[] {
  let made: string | undefined
  return [
    route({
      method: 'GET',
      path: '/v1/openapi.json',
      access: 'viewer',
      summary: 'Describes this interface in OpenAPI 3.1',
      answers: { 200: { description: 'The document', mediaType: 'application/json' } },
      run() {
        made ??= JSON.stringify(describeRoutes(routes(), version))
        return new Response(made, { headers: { 'Content-Type': 'application/json', 'Cache-Control': 'private, no-cache' } })
      },
    }),
  ]
}
