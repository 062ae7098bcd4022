// The OpenAPI 3.1 document of the interface, made from the table of routes: the schemas in it are the ones that validate.

import { z } from 'zod'
import { problemSchema } from '../../protocol/problems.ts'
import type { Route, RouteAccess, RouteAnswer } from './route.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/** An OpenAPI document as far as it is read by others than its viewers. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0'
  readonly info: {
    readonly title: string
    readonly version: string
    readonly description: string
    readonly license: { readonly name: string; readonly identifier: string }
  }
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** Describes a table of routes. */
export function describeRoutes(routes: readonly Route[], version: string): OpenApiDocument {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of routes) {
    const path = templateOf(route.path)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: describeRoute(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Slipway agent',
      version,
      description: 'Images of one store. Times are RFC 3339 in UTC, byte counts are numbers in bytes, errors are problem documents (RFC 9457).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
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
        link: { type: 'apiKey', in: 'query', name: 'link', description: 'A signed link' },
      },
    },
  }
}

/** `/v1/images/{id}` of `/v1/images/:id`. */
export function templateOf(path: string): string {
  return path.replaceAll(/:(\w+)(?:\{[^}]*\})?/g, '{$1}')
}

function describeRoute(route: Route): Record<string, unknown> {
  const parameters = [...pathParameters(route), ...queryParameters(route.query)]
  const body = bodyOf(route)
  return {
    operationId: operationId(route),
    summary: route.summary,
    'x-role': roleOf(route.access),
    security: securityOf(route.access),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: { ...describeAnswers(route.answers), default: { $ref: '#/components/responses/Problem' } },
  }
}

/** `postV1ImagesIdRestore`: unique as long as method and path are. */
function operationId({ method, path }: Route): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter(Boolean)
  return method.toLowerCase() + (words.length === 0 ? 'Root' : words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(''))
}

function roleOf(access: RouteAccess): string {
  return typeof access === 'string' ? access : access.role
}

function securityOf(access: RouteAccess): Record<string, string[]>[] {
  if (access === 'public') return [{}, { bearer: [] }]
  return typeof access === 'string' ? [{ bearer: [] }] : [{ bearer: [] }, { link: [] }]
}

function pathParameters({ path, params }: Route): Record<string, unknown>[] {
  const schemas = params ? propertiesOf(jsonSchema(params, 'output')) : {}
  return [...templateOf(path).matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: schemas[name] ?? { type: 'string' },
  }))
}

function queryParameters(query: z.ZodType | undefined): Record<string, unknown>[] {
  if (!query) return []
  // The output tells the type behind a coercion, the input what may be left out.
  const required = jsonSchema(query, 'input')['required']
  return Object.entries(propertiesOf(jsonSchema(query, 'output'))).map(([name, schema]) => ({
    name,
    in: 'query',
    required: Array.isArray(required) && required.includes(name),
    schema,
  }))
}

function bodyOf({ body, bodyType }: Route): Record<string, unknown> | undefined {
  if (body) return { required: true, content: { 'application/json': { schema: jsonSchema(body, 'input') } } }
  return bodyType === undefined ? undefined : { required: false, content: { [bodyType]: {} } }
}

function describeAnswers(answers: Readonly<Record<number, RouteAnswer>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema, mediaType }]) => {
      if (schema) return [status, { description, content: { [mediaType ?? 'application/json']: { schema: jsonSchema(schema, 'output') } } }]
      return [status, mediaType === undefined ? { description } : { description, content: { [mediaType]: {} } }]
    }),
  )
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any' })
  return rest
}

function propertiesOf(schema: JsonSchema): Readonly<Record<string, unknown>> {
  const { properties } = schema
  return typeof properties === 'object' && properties !== null ? { ...properties } : {}
}
