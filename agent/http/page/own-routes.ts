// Reads the agent's own routes for its page, in the process. The page thus shows what the HTTP interface answers to the same caller, and no rule about who may
// see what has a second place.

import type { z } from 'zod'
import { createBodyRoom } from '../json-body.ts'
import { requireRole } from '../middleware/authenticate.ts'
import type { Route, RouteContext } from '../route.ts'

/** What of a request decides about what it reads. */
export type Reader = Pick<RouteContext, 'request' | 'actor' | 'requestId' | 'log' | 'inform' | 'remoteAddress'>

export interface OwnRoutes {
  /**
   * Returns the answer of a GET route for the caller of a request. `path` is the path of the route, whose parameters are in `params`. Throws ProblemError as the
   * route does, and `forbidden` if the caller may not call it.
   */
  read<Schema extends z.ZodType>(
    reader: Reader,
    schema: Schema,
    path: string,
    members?: { readonly params?: Readonly<Record<string, string>>; readonly query?: Readonly<Record<string, string | undefined>> },
  ): Promise<z.output<Schema>>
}

/** Creates the reader of a table of routes. */
export function createOwnRoutes(routes: () => readonly Route[]): OwnRoutes {
  const bodyRoom = createBodyRoom()
  return {
    async read(reader, schema, path, { params = {}, query = {} } = {}) {
      const found = routes().find((route) => route.method === 'GET' && route.path === path)
      if (!found) throw new Error(`the agent has no route GET ${path}`)
      requireRole(reader.actor, found.access)
      const url = new URL(path, reader.request.url)
      for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') url.searchParams.set(name, value)
      const request = new Request(url.href, { headers: { accept: 'application/json' }, signal: reader.request.signal })
      const { actor, requestId, log, inform, remoteAddress } = reader
      const answer = await found.handle(request, { ...params }, { actor, requestId, log, inform, remoteAddress, bodyRoom })
      return schema.parse(await answer.json())
    },
  }
}
