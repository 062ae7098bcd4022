// The interface that tus and the resumable upload draft implement for /v1/uploads: one function for each method.

import type { RouteContext } from './route.ts'

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

/** Returns the relative URL of an upload. If the request was authenticated by a link, the URL includes it, since every further request needs it. */
export function uploadLocation({ actor, url }: UploadContext, id: string): string {
  return `${UPLOADS_PATH}/${id}${actor.link ? url.search : ''}`
}
