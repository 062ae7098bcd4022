// A route as data: method, path, role, schemas and function. Router, validation and the OpenAPI document come from the same table, so they
// always agree, and no route lacks a role.

import type { z } from 'zod'
import type { Role } from '../../protocol/access.ts'
import type { Problem, ProblemCode } from '../../protocol/problems.ts'
import type { Actor } from '../contract/access.ts'
import type { Connection } from '../contract/connection.ts'
import type { Log } from '../contract/runtime.ts'
import { JSON_BODY_MAX, readJson } from './json-body.ts'
import type { BodyRoom } from './json-body.ts'
import { LINK_MEMBER, readQuery } from './query.ts'
import { validateBody, validateInput } from './validation.ts'
import type { ImageAccess } from './visible/visible-image.ts'

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'

/**
 * Who may call a route: every client, clients with a token of at least this role, also clients with a signed link of this kind, or also tokens of a
 * lower role that act for a user or a group. A route with `cookie` also takes the session of the page in that cookie, which no other route
 * does: a form of another site could otherwise use it. A route of the last kind must find its image with `visibleImage`, which requires the right. A route with
 * `own` answers tokens of a lower role only with what belongs to their subject.
 */
export type RouteAccess =
  | 'public'
  | Role
  | { readonly role: Role; readonly link: 'upload' | 'download' }
  | { readonly role: Role; readonly own: string }
  | { readonly role: Role; readonly cookie: string }
  | ImageAccess

/** One request with validated input. */
export interface RouteContext<Params = unknown, Query = unknown, Body = unknown> {
  readonly request: Request
  readonly url: URL
  readonly params: Params
  readonly query: Query
  readonly body: Body
  /** ANONYMOUS on a public route that is called without a token. */
  readonly actor: Actor
  readonly requestId: string
  readonly log: Log
  /** Sends an interim response, if server and client support it. */
  readonly inform: Connection['inform']
  /** Address of the client, or of the proxy in front of it; undefined without a server. */
  readonly remoteAddress: string | undefined
}

/** An answer of a route for the OpenAPI document. */
export interface RouteAnswer {
  readonly description: string
  readonly schema?: z.ZodType
  readonly mediaType?: string
  readonly headers?: readonly RouteHeader[]
  /** Media types of streams that the caller may request instead. */
  readonly streams?: readonly string[]
}

/** A header of a request or an answer for the OpenAPI document; its schema is JSON Schema. */
export interface RouteHeader {
  readonly name: string
  readonly description: string
  readonly schema: Readonly<Record<string, unknown>>
}

type Output<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined

export interface RouteDefinition<
  Params extends z.ZodType | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
> {
  readonly method: HttpMethod
  /** Hono path, `/v1/images/:id`. */
  readonly path: string
  readonly access: RouteAccess
  readonly summary: string
  readonly params?: Params
  /** The query members that the route accepts; others are refused. Routes that allow a link also accept `link`. */
  readonly query?: Query
  /** JSON body; a route without one reads `request.body` itself. */
  readonly body?: Body
  /** Longest JSON body in bytes; JSON_BODY_MAX by default. */
  readonly bodyLengthMax?: number
  /** Media types of bodies that the route reads itself, each with a description. */
  readonly bodies?: Readonly<Record<string, string>>
  readonly answers: Readonly<Record<number, RouteAnswer>>
  /** Sentences that follow the summary. */
  readonly description?: string
  /** Headers that the route reads, in addition to those of HTTP itself. */
  readonly requestHeaders?: readonly RouteHeader[]
  /** Problems that the route may answer with, in addition to those that follow from its access, path and body. */
  readonly problems?: readonly ProblemCode[]
  /** Whether a grant between stores may call the route. Only routes that read the store's identity, or an image with `visibleImage`, may say so. */
  readonly granted?: boolean
  /** Whether a read records who asked, so that a bot may name the person, as on every request that changes something. */
  readonly namesAsker?: boolean
  /** Whether pages of the configured origins may call the route from a browser. */
  readonly crossOrigin?: boolean
  /** Whether a person opens the route by a link in a browser: refusals are then plain text. */
  readonly plainRefusals?: boolean
  /** Returns the page that tells a browser of a refusal, as HTML. */
  readonly refusalPage?: (refusal: Problem, request: Request) => Response
  /** Whether there is nothing at the path for clients that do not ask for HTML. */
  readonly htmlOnly?: boolean
  /** Headers of every refusal, such as `Tus-Resumable`, including refusals before the route runs (authentication, limits). */
  readonly errorHeaders?: (request: Request) => Readonly<Record<string, string>>
  run(context: RouteContext<Output<Params>, Output<Query>, Output<Body>>): Promise<Response> | Response
}

/** Returns the kind of links that a route allows; undefined if it allows none. */
export function linkOf(access: RouteAccess): 'upload' | 'download' | undefined {
  return typeof access === 'object' && 'link' in access ? access.link : undefined
}

/** A route with its types erased, for the table. */
export interface Route {
  readonly method: HttpMethod
  readonly path: string
  readonly access: RouteAccess
  readonly summary: string
  readonly params: z.ZodType | undefined
  readonly query: z.ZodObject | undefined
  readonly body: z.ZodType | undefined
  readonly bodies: Readonly<Record<string, string>>
  readonly answers: Readonly<Record<number, RouteAnswer>>
  readonly description: string
  readonly requestHeaders: readonly RouteHeader[]
  readonly problems: readonly ProblemCode[]
  readonly granted: boolean
  readonly namesAsker: boolean
  readonly crossOrigin: boolean
  readonly plainRefusals: boolean
  readonly refusalPage: ((refusal: Problem, request: Request) => Response) | undefined
  readonly htmlOnly: boolean
  readonly errorHeaders: ((request: Request) => Readonly<Record<string, string>>) | undefined
  /** Validates the input, then runs. Throws ProblemError `invalid-input` with one entry in `errors` for each member. */
  handle(request: Request, params: Record<string, string>, context: CallContext): Promise<Response>
}

/** What the application passes to a route in addition to its input. */
export interface CallContext extends Omit<RouteContext, 'request' | 'url' | 'params' | 'query' | 'body'> {
  readonly bodyRoom: BodyRoom
}

/**
 * Creates a route.
 *
 * @example
 * route({ method: 'GET', path: '/v1/images/:id', access: 'viewer', summary: 'Shows an image',
 *   params: z.object({ id: z.string() }), answers: { 200: { description: 'The image', schema: imageSchema } },
 *   run: ({ params }) => Response.json(images.get(params.id)) })
 */
export function route<
  Params extends z.ZodType | undefined = undefined,
  Query extends z.ZodObject | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
>(definition: RouteDefinition<Params, Query, Body>): Route {
  const { method, path, access, summary, params, query, body, answers } = definition
  const queryMembers = [...Object.keys(query?.shape ?? {}), ...(linkOf(access) === undefined ? [] : [LINK_MEMBER])]
  return {
    method,
    path,
    access,
    summary,
    params,
    query,
    body,
    bodies: definition.bodies ?? {},
    answers,
    description: definition.description ?? '',
    requestHeaders: definition.requestHeaders ?? [],
    problems: definition.problems ?? [],
    granted: definition.granted ?? false,
    namesAsker: definition.namesAsker ?? false,
    crossOrigin: definition.crossOrigin ?? false,
    plainRefusals: definition.plainRefusals ?? false,
    refusalPage: definition.refusalPage,
    htmlOnly: definition.htmlOnly ?? false,
    errorHeaders: definition.errorHeaders,
    async handle(request, rawParams, { bodyRoom, ...context }) {
      const url = new URL(request.url)
      // A preflight (OPTIONS) has the query of the request that follows. The follow-up is refused instead, since a page can read its answer.
      const members = method === 'OPTIONS' ? {} : readQuery(url.searchParams, queryMembers)
      const limits = { room: bodyRoom, actor: context.actor, lengthMax: definition.bodyLengthMax ?? JSON_BODY_MAX }
      return definition.run({
        ...context,
        request,
        url,
        params: validateInput(params, rawParams, 'path') as Output<Params>,
        query: validateInput(query, members, 'query') as Output<Query>,
        body: (body ? validateBody(body, await readJson(request, limits)) : undefined) as Output<Body>,
      })
    },
  }
}
