// The variables that middlewares set on a request. Web APIs only.

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
    /** The method after X-HTTP-Method-Override; set once the path has matched. */
    method?: string
    /** Set once the request is authenticated. */
    actor?: Actor
    /** Set once path and method have matched. `pathRoutes` has the routes of all methods of the path, so that refusals find their headers. */
    route?: Route
    pathRoutes?: readonly Route[]
  }
}
