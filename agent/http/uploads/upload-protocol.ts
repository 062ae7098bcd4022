// The interface that tus and the resumable upload draft implement for /v1/uploads: one function for each method.

import { contentOrigin, publicOrigin } from '../public-origin.ts'
import type { RouteContext } from '../route.ts'

/** A request below /v1/uploads. */
export type UploadContext = Pick<RouteContext, 'request' | 'actor' | 'url' | 'inform'>

/** Path that creates uploads; the URL of each upload is below it. */
export const UPLOADS_PATH = '/v1/uploads'

/** One protocol of the upload routes. Each function throws ProblemError as its protocol defines it. */
export interface UploadProtocol {
  /** POST on the collection. */
  create(context: UploadContext): Promise<Response>
  /** HEAD of one upload. */
  show(context: UploadContext, id: string): Promise<Response>
  /** PATCH of one upload. */
  append(context: UploadContext, id: string): Promise<Response>
  /** DELETE of one upload. */
  remove(context: UploadContext, id: string): Promise<Response>
}

/** Returns the URL of an upload, for Location. */
export type UploadLocation = (context: UploadContext, id: string) => string

/**
 * Returns the function that makes the URLs of uploads: on the data network if there is one, so that bytes of clients use it, else relative. If the request
 * was authenticated by a link, the URL includes it, since every further request needs it. It is relative for a page in a browser too, which may only
 * connect to the origin that it was loaded from. `dataUrls` are the addresses in the data network.
 */
export function uploadLocations(dataUrls: () => readonly string[] = () => []): UploadLocation {
  return ({ request, actor, url }, id) => {
    const path = `${UPLOADS_PATH}/${id}${actor.link ? url.search : ''}`
    const isPage = request.headers.has('origin') || request.headers.has('sec-fetch-site')
    const origin = contentOrigin(request, dataUrls())
    return isPage || origin === publicOrigin(request) ? path : origin + path
  }
}
