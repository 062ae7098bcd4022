// Describes one route as an operation of the OpenAPI document.

import type { z } from 'zod'
import { linkOf } from '../route.ts'
import type { Route, RouteAccess, RouteAnswer, RouteHeader } from '../route.ts'
import { jsonSchema, propertiesOf } from './json-schema.ts'
import type { JsonSchema } from './json-schema.ts'
import { describeProblems } from './problem-answers.ts'
import { tagOf } from './tags.ts'

/** Returns the operation of a route: its access, parameters, body and answers. */
export function describeOperation(route: Route): Record<string, unknown> {
  const parameters = [...pathParameters(route), ...queryParameters(route.query), ...route.requestHeaders.map(headerParameter)]
  const body = bodyOf(route)
  return {
    operationId: operationId(route),
    tags: [tagOf(route.path)],
    summary: route.summary,
    description: [route.description, accessSentence(route.access), route.granted ? 'Also for a grant between stores.' : '']
      .filter((text) => text !== '')
      .join(' '),
    'x-role': roleOf(route.access),
    security: securityOf(route.access),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: { ...merge(describeProblems(route), describeAnswers(route.answers)), default: { $ref: '#/components/responses/Problem' } },
  }
}

/** Returns an id such as `postV1ImagesIdRestore`, which is unique because method and path are. */
function operationId({ method, path }: Route): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter(Boolean)
  return method.toLowerCase() + (words.length === 0 ? 'Root' : words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(''))
}

function roleOf(access: RouteAccess): string {
  return typeof access === 'string' ? access : access.role
}

function accessSentence(access: RouteAccess): string {
  if (access === 'public') return 'Needs no token.'
  if (typeof access === 'string') return `Needs a token with the role ${access} or a higher one.`
  return `Needs a token with the role ${access.role} or a higher one, or ${otherAccess(access)}.`
}

function otherAccess(access: Exclude<RouteAccess, string>): string {
  if ('right' in access) return `the right \`${access.right}\` on the image as its owner or by a grant`
  if ('cookie' in access) return 'a session of the page'
  return 'own' in access ? `one with a subject, which sees ${access.own}` : `a signed ${access.link} link`
}

function securityOf(access: RouteAccess): Record<string, string[]>[] {
  if (access === 'public') return [{}, { bearer: [] }]
  if (typeof access === 'object' && 'cookie' in access) return [{ bearer: [] }, { session: [] }]
  return linkOf(access) === undefined ? [{ bearer: [] }] : [{ bearer: [] }, { link: [] }]
}

function pathParameters({ path, params }: Route): Record<string, unknown>[] {
  const schemas = params ? propertiesOf(jsonSchema(params, 'output')) : {}
  return [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({ name, in: 'path', required: true, schema: schemas[name] ?? { type: 'string' } }))
}

function queryParameters(query: z.ZodType | undefined): Record<string, unknown>[] {
  if (!query) return []
  // The output schema has the type after coercion; the input schema says which members are optional.
  const required = jsonSchema(query, 'input')['required']
  return Object.entries(propertiesOf(jsonSchema(query, 'output'))).map(([name, schema]) => ({
    name,
    in: 'query',
    required: Array.isArray(required) && required.includes(name),
    schema,
  }))
}

function headerParameter({ name, description, schema }: RouteHeader): Record<string, unknown> {
  return { name, in: 'header', required: false, description, schema }
}

function bodyOf({ body, bodies }: Route): Record<string, unknown> | undefined {
  if (body) {
    // An empty body is read as an empty object, so a body is required only if an empty object is invalid.
    return { required: !body.safeParse({}).success, content: { 'application/json': { schema: jsonSchema(body, 'input') } } }
  }
  const types = Object.entries(bodies)
  if (types.length === 0) return undefined
  return { required: false, content: Object.fromEntries(types.map(([mediaType, description]) => [mediaType, { schema: bytesSchema(description) }])) }
}

interface ResponseObject {
  readonly description: string
  readonly headers?: Readonly<Record<string, unknown>>
  readonly content?: Readonly<Record<string, unknown>>
}
type Responses = Readonly<Record<string, ResponseObject>>

/** Merges two sets of responses. A status in both sets gets both descriptions and contents. */
function merge(problems: Responses, answers: Responses): Responses {
  const all: Record<string, ResponseObject> = { ...problems }
  for (const [status, answer] of Object.entries(answers)) {
    const other = problems[status]
    all[status] = other
      ? { ...other, ...answer, description: `${answer.description}. ${other.description}`, content: { ...other.content, ...answer.content } }
      : answer
  }
  return all
}

function describeAnswers(answers: Readonly<Record<number, RouteAnswer>>): Responses {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema, mediaType, headers = [], streams = [] }]) => {
      const content: Record<string, unknown> = {}
      if (schema) content[mediaType ?? 'application/json'] = { schema: jsonSchema(schema, 'output') }
      else if (mediaType !== undefined) content[mediaType] = { schema: mediaType === 'application/json' ? { type: 'object' } : bytesSchema(description) }
      for (const stream of streams) content[stream] = { schema: { type: 'string' } }
      return [
        status,
        {
          description,
          ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers.map((header) => [header.name, answerHeader(header)])) }),
          ...(Object.keys(content).length === 0 ? {} : { content }),
        },
      ]
    }),
  )
}

function answerHeader({ description, schema }: RouteHeader): Record<string, unknown> {
  return { description, schema }
}

/** Returns the schema of binary content. */
function bytesSchema(description: string): JsonSchema {
  return { type: 'string', format: 'binary', description }
}
