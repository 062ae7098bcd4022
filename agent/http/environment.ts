// What a request carries through the middlewares. Web APIs only.

import type { Actor } from '../contract/access.ts'
import type { Connection } from '../contract/connection.ts'
import type { Log } from '../contract/runtime.ts'
import type { Route } from './route.ts'

/** Hono's environment of the application. `connection` is absent when the application runs without a server. */
export interface AppEnvironment {
  Bindings: { connection?: Connection }
  Variables: {
    requestId: string
    log: Log
    /** The method that the request is routed by; set once the path is known and X-HTTP-Method-Override was resolved. */
    method?: string
    /** Set once the caller is known. */
    actor?: Actor
    /** Set once the path is known; pathRoutes has every method of the path, so that refusals find their headers. */
    route?: Route
    pathRoutes?: readonly Route[]
  }
}
