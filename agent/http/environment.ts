// What a request carries through the middlewares, and the part of the server below that routes may use. Web APIs only.

import type { Actor } from '../contract/access.ts'
import type { Log } from '../contract/runtime.ts'
import type { Route } from './route.ts'

/** The server under the application, as far as the application knows it; Bun's has this shape. */
export interface ServerBinding {
  /** Seconds without enough progress after which the server closes the request's connection; 0 is never. */
  timeout(request: Request, seconds: number): void
  requestIP?(request: Request): { readonly address: string } | null
}

/** Hono's environment of the application. `server` is missing where the application runs without one. */
export interface AppEnvironment {
  Bindings: { server?: ServerBinding }
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
