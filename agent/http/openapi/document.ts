// Builds the OpenAPI 3.1 document of the interface from the table of routes, with the schemas that validate requests.

import { problemSchema } from '../../../protocol/problems.ts'
import type { Route } from '../route.ts'
import { jsonSchema } from './json-schema.ts'
import { describeOperation } from './operation.ts'
import { TAGS } from './tags.ts'

/** The parts of an OpenAPI document that this project reads. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0'
  readonly info: Readonly<Record<string, unknown>>
  readonly servers: readonly { readonly url: string; readonly description: string }[]
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

const DESCRIPTION = `Manages the images of one store. Times are RFC 3339 in UTC, sizes and lengths are in bytes, and lists are paged (\`limit\`, \`cursor\`).

Errors are problem documents (RFC 9457) with a stable \`type\`, what happened (\`detail\`) and what to do next (\`action\`). \`POST\` with \`X-HTTP-Method-Override\` runs as the method in that header, for clients behind proxies that allow only GET and POST. Every path that supports GET supports HEAD.`

/** Describes a table of routes. */
export function describeRoutes(routes: readonly Route[], version: string): OpenApiDocument {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const path = templateOf(route.path)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: describeOperation(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Slipway agent',
      version,
      description: DESCRIPTION,
      contact: { name: 'The operator of this store' },
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The agent that serves this document' }],
    tags: TAGS,
    paths,
    components: {
      schemas: { Problem: jsonSchema(problemSchema, 'output') },
      responses: {
        Problem: {
          description: 'What went wrong and what to do next',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A token of the store' },
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: 'slipway-agent',
          description: 'A session of the page. The name also has the first 8 digits of the store id.',
        },
        link: { type: 'apiKey', in: 'query', name: 'link', description: 'A signed link from POST /v1/links. If a request has both, the token is used.' },
      },
    },
  }
}

/** Returns the path template of a Hono path: `/v1/images/{id}` for `/v1/images/:id`. */
export function templateOf(path: string): string {
  return path.replaceAll(/:(\w+)(?:\{[^}]*\})?/g, '{$1}')
}
